/* Key files: modes, existing files, links, contents, and the command `troupe key`. */

#include "actors/core/log.h"
#include "actors/server/key_command.h"
#include "actors/server/key_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* BIP-340's first vector: secret 3 and its public key. */
#define SECRET_3 "0000000000000000000000000000000000000000000000000000000000000003"
#define PUBKEY_3 "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9"
#define ORDER    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
#define BELOW    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364140"

static char directory[64];
static char path[128];
static struct trp_nostr_key key;
static struct trp_key_error error;

static int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "key-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/key", directory);
    memset(&key, 0, sizeof(key));
    error.text[0] = '\0';
    return 0;
}

/* Removes a directory and what the tests put into it, at most a few levels deep. */
static void remove_tree(const char *name)
{
    DIR *dir = opendir(name);
    const struct dirent *entry;

    if (dir == NULL) {
        unlink(name);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        char child[512];
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        snprintf(child, sizeof(child), "%s/%s", name, entry->d_name);
        if (lstat(child, &info) == 0 && S_ISDIR(info.st_mode)) {
            remove_tree(child);
        } else {
            unlink(child);
        }
    }
    closedir(dir);
    rmdir(name);
}

static int tear_down(void **state)
{
    (void)state;
    remove_tree(directory);
    return 0;
}

static size_t count_entries(const char *name)
{
    DIR *dir = opendir(name);
    size_t count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count - 2;
}

static void put_file(const char *name, const void *bytes, size_t len, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void hex_of(char out[65], const uint8_t bytes[32])
{
    for (size_t i = 0; i < 32; i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

static void expect(enum troupe_status got, enum troupe_status wanted, const char *text)
{
    if (got != wanted || strstr(error.text, text) == NULL) {
        fail_msg("got %s, \"%s\"; wanted %s, \"%s\"", troupe_status_name(got), error.text,
                 troupe_status_name(wanted), text);
    }
}

static void test_created_file_has_form_and_mode(void **state)
{
    struct stat info;
    struct trp_nostr_key again;
    char content[80] = {0};
    mode_t old_mask = umask(0277); /* takes even our own rights; the file must not care */
    int fd;
    (void)state;

    assert_int_equal(trp_key_file_create(&key, &error, path), TROUPE_OK);
    umask(old_mask);
    assert_int_equal(lstat(path, &info), 0);
    assert_true(S_ISREG(info.st_mode));
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(info.st_nlink, 1);
    assert_int_equal(count_entries(directory), 1);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, content, sizeof(content)), 65);
    close(fd);
    assert_int_equal(strspn(content, "0123456789abcdef"), 64);
    assert_int_equal(content[64], '\n');
    assert_int_equal(trp_key_file_load(&again, &error, path), TROUPE_OK);
    assert_memory_equal(again.pubkey, key.pubkey, 32);
}

static void test_two_keys_differ(void **state)
{
    struct trp_nostr_key other;
    char second[160];
    (void)state;

    snprintf(second, sizeof(second), "%s2", path);
    assert_int_equal(trp_key_file_create(&key, &error, path), TROUPE_OK);
    assert_int_equal(trp_key_file_create(&other, &error, second), TROUPE_OK);
    assert_memory_not_equal(other.pubkey, key.pubkey, 32);
}

static void test_existing_names_are_never_overwritten(void **state)
{
    char content[16] = {0};
    char target[160];
    struct stat info;
    FILE *file;
    (void)state;

    put_file(path, "precious", 8, 0600);
    expect(trp_key_file_create(&key, &error, path), TROUPE_EEXIST, "not overwritten");
    file = fopen(path, "re");
    assert_int_equal(fread(content, 1, sizeof(content), file), 8);
    fclose(file);
    assert_string_equal(content, "precious");
    assert_int_equal(count_entries(directory), 1);

    /* A dangling link: following it would make a file where somebody else wants it. */
    unlink(path);
    snprintf(target, sizeof(target), "%s/elsewhere", directory);
    assert_int_equal(symlink("elsewhere", path), 0);
    expect(trp_key_file_create(&key, &error, path), TROUPE_EEXIST, "exists already");
    assert_int_equal(lstat(target, &info), -1);

    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    expect(trp_key_file_create(&key, &error, path), TROUPE_EEXIST, "exists already");
}

static void test_missing_directory_is_an_error(void **state)
{
    char deep[160];
    (void)state;

    snprintf(deep, sizeof(deep), "%s/no/key", directory);
    expect(trp_key_file_create(&key, &error, deep), TROUPE_EIO, "No such file or directory");
    expect(trp_key_file_load(&key, &error, deep), TROUPE_ENOTFOUND, "troupe key new");
}

static void test_known_key_and_its_spellings(void **state)
{
    char hex[65];
    (void)state;

    put_file(path, SECRET_3 "\n", 65, 0600);
    assert_int_equal(trp_key_file_load(&key, &error, path), TROUPE_OK);
    hex_of(hex, key.pubkey);
    assert_string_equal(hex, PUBKEY_3);
    put_file(path, SECRET_3, 64, 0400);
    assert_int_equal(trp_key_file_load(&key, &error, path), TROUPE_OK);
    unlink(path);
    put_file(path, BELOW "\n", 65, 0600);
    assert_int_equal(trp_key_file_load(&key, &error, path), TROUPE_OK);
}

static void test_bad_contents(void **state)
{
    static const struct {
        const char *content;
        size_t len;
    } cases[] = {
        {"", 0},
        {"\n", 1},
        {SECRET_3 "\n\n", 66},
        {SECRET_3 "\r\n", 66},
        {SECRET_3 "0", 65},
        {SECRET_3, 63},
        {" " SECRET_3, 65},
        {"nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5x", 64},
    };
    static const char strange[] = {'/', ':', '@', '`', 'g', 'G', ' ', '\n', '\0', '\x10', '\xb0'};
    char content[65];
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put_file(path, cases[i].content, cases[i].len, 0600);
        expect(trp_key_file_load(&key, &error, path), TROUPE_EPARSE, "expected 64 hex digits");
    }
    /* Neighbours of the hex digits, in each half of a byte. */
    for (size_t i = 0; i < 2 * sizeof(strange); i++) {
        memcpy(content, SECRET_3 "\n", 65);
        content[10 + i % 2] = strange[i / 2];
        put_file(path, content, 65, 0600);
        expect(trp_key_file_load(&key, &error, path), TROUPE_EPARSE, "expected 64 hex digits");
        assert_null(strstr(error.text, "0000"));
    }
    put_file(path, ORDER "\n", 65, 0600);
    expect(trp_key_file_load(&key, &error, path), TROUPE_EPARSE, "not hold a valid secp256k1 key");
    memset(content, '0', 64);
    put_file(path, content, 64, 0600);
    expect(trp_key_file_load(&key, &error, path), TROUPE_EPARSE, "not hold a valid secp256k1 key");
}

static void test_files_that_others_may_use_are_refused(void **state)
{
    static const mode_t modes[] = {0640, 0604, 0660, 0644, 0620, 0601, 0610, 0777};
    (void)state;

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        char mode[32];
        put_file(path, SECRET_3 "\n", 65, modes[i]);
        snprintf(mode, sizeof(mode), "has mode %04o", (unsigned)modes[i]);
        expect(trp_key_file_load(&key, &error, path), TROUPE_EAUTH, mode);
        assert_non_null(strstr(error.text, "chmod 600"));
        unlink(path);
    }
}

static void test_things_that_are_no_files_are_refused(void **state)
{
    char real[160];
    (void)state;

    snprintf(real, sizeof(real), "%s/real", directory);
    put_file(real, SECRET_3 "\n", 65, 0600);
    assert_int_equal(symlink("real", path), 0);
    expect(trp_key_file_load(&key, &error, path), TROUPE_EAUTH, "symbolic link");
    unlink(path);
    /* Without a writer: a plain open would wait for one. */
    assert_int_equal(mkfifo(path, 0600), 0);
    expect(trp_key_file_load(&key, &error, path), TROUPE_EAUTH, "not a regular file");
    expect(trp_key_file_load(&key, &error, directory), TROUPE_EAUTH, "not a regular file");
}

static void test_default_path(void **state)
{
    char out[PATH_MAX];
    char *huge = malloc(PATH_MAX + 1);
    (void)state;

    assert_int_equal(trp_key_file_default_path(out, &error, "/s", "/h"), TROUPE_OK);
    assert_string_equal(out, "/s/troupe/key");
    assert_int_equal(trp_key_file_default_path(out, &error, "", "/h"), TROUPE_OK);
    assert_string_equal(out, "/h/.local/state/troupe/key");
    assert_int_equal(trp_key_file_default_path(out, &error, "relative", "/h"), TROUPE_OK);
    assert_string_equal(out, "/h/.local/state/troupe/key");
    expect(trp_key_file_default_path(out, &error, NULL, NULL), TROUPE_ENOTFOUND, "--key FILE");
    expect(trp_key_file_default_path(out, &error, NULL, "relative"), TROUPE_ENOTFOUND, "--key");
    memset(huge, 'x', PATH_MAX);
    huge[0] = '/';
    huge[PATH_MAX] = '\0';
    expect(trp_key_file_default_path(out, &error, huge, NULL), TROUPE_ETOOLARGE, "too long");
    expect(trp_key_file_make_directories(huge, &error), TROUPE_ETOOLARGE, "too long");
    free(huge);
}

/* $XDG_STATE_HOME is two levels below what exists. */
static void use_state_home(char *out, size_t cap)
{
    char here[256];

    assert_non_null(getcwd(here, sizeof(here)));
    snprintf(out, cap, "%s/%s/a/b", here, directory);
    setenv("XDG_STATE_HOME", out, 1);
}

static void test_server_makes_the_default_key_once(void **state)
{
    char home[512];
    char file[1024];
    struct trp_nostr_key again;
    struct trp_log_counters before;
    struct trp_log_counters after;
    struct stat info;
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct trp_log_config config = {TRP_LOG_LOGFMT, TRP_LOG_INFO, null_fd, NULL};
    (void)state;

    trp_log_init(&config);
    use_state_home(home, sizeof(home));
    trp_log_counters(&before);
    assert_int_equal(trp_key_file_for_server(&key, &error, NULL), TROUPE_OK);
    trp_log_counters(&after);
    assert_int_equal(after.written - before.written, 1);
    snprintf(file, sizeof(file), "%s/troupe", home);
    assert_int_equal(stat(file, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    assert_int_equal(trp_key_file_for_server(&again, &error, NULL), TROUPE_OK);
    assert_memory_equal(again.pubkey, key.pubkey, 32);
    trp_log_counters(&before);
    assert_int_equal(after.written, before.written);

    /* Nothing is made up for a path that was given, and an unsafe default is not replaced. */
    expect(trp_key_file_for_server(&key, &error, path), TROUPE_ENOTFOUND, "does not exist");
    snprintf(file, sizeof(file), "%s/troupe/key", home);
    assert_int_equal(chmod(file, 0644), 0);
    expect(trp_key_file_for_server(&key, &error, NULL), TROUPE_EAUTH, "has mode 0644");
    close(null_fd);
}

static void test_directory_that_cannot_be_made(void **state)
{
    char below[160];
    (void)state;

    put_file(path, "x", 1, 0600);
    snprintf(below, sizeof(below), "%s/troupe/key", path);
    expect(trp_key_file_make_directories(below, &error), TROUPE_EIO, "Not a directory");
}

/* Runs `troupe key`; returns the exit code and what went to each stream. */
static int run_key(enum trp_key_action action, const char *file, char *out, char *err, size_t cap)
{
    struct trp_options options;
    FILE *out_file = fmemopen(out, cap, "w");
    FILE *err_file = fmemopen(err, cap, "w");
    int code;

    memset(&options, 0, sizeof(options));
    options.command = TRP_COMMAND_KEY;
    options.key_action = action;
    options.key_path = file;
    out[0] = '\0';
    err[0] = '\0';
    code = trp_key_command_run(&options, out_file, err_file);
    fclose(out_file);
    fclose(err_file);
    return code;
}

static void test_key_command(void **state)
{
    char out[2048];
    char again[2048];
    char err[2048];
    char home[512];
    (void)state;

    assert_int_equal(run_key(TRP_KEY_SHOW, path, out, err, sizeof(out)), 1);
    assert_non_null(strstr(err, "troupe key: "));
    assert_non_null(strstr(err, "does not exist"));
    assert_string_equal(out, "");
    assert_int_equal(run_key(TRP_KEY_NEW, path, out, err, sizeof(out)), 0);
    assert_int_equal(strlen(out), 65);
    assert_string_equal(err, "");
    assert_int_equal(run_key(TRP_KEY_SHOW, path, again, err, sizeof(again)), 0);
    assert_string_equal(again, out);
    assert_int_equal(run_key(TRP_KEY_NEW, path, out, err, sizeof(out)), 1);
    assert_non_null(strstr(err, "not overwritten"));

    put_file(path, SECRET_3 "\n", 65, 0600);
    assert_int_equal(run_key(TRP_KEY_SHOW, path, out, err, sizeof(out)), 0);
    assert_string_equal(out, PUBKEY_3 "\n");

    use_state_home(home, sizeof(home));
    assert_int_equal(run_key(TRP_KEY_SHOW, NULL, out, err, sizeof(out)), 1);
    assert_int_equal(run_key(TRP_KEY_NEW, NULL, out, err, sizeof(out)), 0);
    assert_int_equal(run_key(TRP_KEY_SHOW, NULL, again, err, sizeof(again)), 0);
    assert_string_equal(again, out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_created_file_has_form_and_mode, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_keys_differ, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_existing_names_are_never_overwritten, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_missing_directory_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_known_key_and_its_spellings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_contents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_that_others_may_use_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_things_that_are_no_files_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_default_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_server_makes_the_default_key_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_directory_that_cannot_be_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_command, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
