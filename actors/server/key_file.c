#include "actors/server/key_file.h"

#include "actors/core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX_DIGITS 64u
#define FILE_BYTES (HEX_DIGITS + 1u) /* with the newline */

/* Writes the error and returns the status, so that a failure is one statement. */
__attribute__((format(printf, 3, 4))) static enum troupe_status
fail(struct trp_key_error *error, enum troupe_status status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return status;
}

static enum troupe_status
fail_errno(struct trp_key_error *error, const char *verb, const char *path)
{
    const char *text = strerrordesc_np(errno);

    return fail(error, TROUPE_EIO, "cannot %s \"%s\": %s", verb, path,
                text != NULL ? text : "unknown error");
}

enum troupe_status trp_key_file_default_path(char path[PATH_MAX],
                                             struct trp_key_error *error,
                                             const char *state_home,
                                             const char *home)
{
    int n;

    if (state_home != NULL && state_home[0] == '/') {
        n = snprintf(path, PATH_MAX, "%s/troupe/key", state_home);
    } else if (home != NULL && home[0] == '/') {
        n = snprintf(path, PATH_MAX, "%s/.local/state/troupe/key", home);
    } else {
        return fail(error, TROUPE_ENOTFOUND,
                    "neither XDG_STATE_HOME nor HOME names a directory; give --key FILE");
    }
    if (n < 0 || n >= PATH_MAX) {
        return fail(error, TROUPE_ETOOLARGE, "the default key path is too long; give --key FILE");
    }
    return TROUPE_OK;
}

enum troupe_status trp_key_file_make_directories(const char *path, struct trp_key_error *error)
{
    char directory[PATH_MAX];
    size_t len = strlen(path);

    if (len >= sizeof(directory)) {
        return fail(error, TROUPE_ETOOLARGE, "the path of the key file is too long");
    }
    memcpy(directory, path, len + 1);
    /* Each prefix that ends before a '/', from the left. */
    for (char *slash = strchr(directory + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
            return fail_errno(error, "make the directory", directory);
        }
        *slash = '/';
    }
    return TROUPE_OK;
}

/*
 * The value of a hex digit, or a number with bits above 0xff if it is none. No branch and no
 * table look-up depends on the digit, which is a part of the secret.
 */
static uint32_t hex_value(uint8_t c)
{
    uint32_t digit = (uint32_t)c - '0';
    uint32_t letter = ((uint32_t)c | 0x20u) - 'a';
    uint32_t is_digit = (digit - 10u) >> 31 & ~(digit >> 31) & 1u;
    uint32_t is_letter = (letter - 6u) >> 31 & ~(letter >> 31) & 1u;

    return (digit & (0u - is_digit)) | ((letter + 10u) & (0u - is_letter)) |
           ((is_digit | is_letter) ^ 1u) << 8;
}

static bool decode_secret(uint8_t secret[TRP_NOSTR_SECRET_LEN], const uint8_t *hex)
{
    uint32_t wrong = 0;

    for (size_t i = 0; i < TRP_NOSTR_SECRET_LEN; i++) {
        uint32_t high = hex_value(hex[2 * i]);
        uint32_t low = hex_value(hex[2 * i + 1]);
        wrong |= (high | low) >> 8;
        secret[i] = (uint8_t)((high << 4 | (low & 15u)) & 0xffu);
    }
    return wrong == 0;
}

static uint8_t hex_character(uint32_t value)
{
    /* '0' + value, and 39 more to reach 'a' when value is above 9; again without a branch. */
    return (uint8_t)('0' + value + (((9u - value) >> 31) * 39u));
}

static void encode_secret(uint8_t *hex, const uint8_t secret[TRP_NOSTR_SECRET_LEN])
{
    for (size_t i = 0; i < TRP_NOSTR_SECRET_LEN; i++) {
        hex[2 * i] = hex_character(secret[i] >> 4);
        hex[2 * i + 1] = hex_character(secret[i] & 15u);
    }
}

static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
    return true;
}

/* Makes the new name survive a crash of the machine; a file system that cannot is no failure. */
static void sync_directory(const char *path)
{
    char directory[PATH_MAX];
    char *slash;
    int fd;

    snprintf(directory, sizeof(directory), "%s", path);
    slash = strrchr(directory, '/');
    if (slash == NULL) {
        snprintf(directory, sizeof(directory), ".");
    } else {
        slash[slash == directory ? 1 : 0] = '\0';
    }
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

/* Name, in the same directory, that nobody else uses. */
static enum troupe_status
make_temporary_name(char *out, size_t cap, struct trp_key_error *error, const char *path)
{
    uint8_t random[8];
    uint64_t number;
    int n;

    if (RAND_bytes(random, sizeof(random)) != 1) {
        return fail(error, TROUPE_EIO, "no random bytes from the system");
    }
    memcpy(&number, random, sizeof(number));
    n = snprintf(out, cap, "%s.new.%016llx", path, (unsigned long long)number);
    if (n < 0 || (size_t)n >= cap) {
        return fail(error, TROUPE_ETOOLARGE, "the path of the key file is too long");
    }
    return TROUPE_OK;
}

/*
 * The content goes to a file of another name first; link() then gives it the real one, and, unlike
 * rename(), fails when the name is taken, be it by a dangling symbolic link.
 */
static enum troupe_status
write_file(struct trp_key_error *error, const char *path, const uint8_t content[FILE_BYTES])
{
    char temporary[PATH_MAX];
    enum troupe_status status = make_temporary_name(temporary, sizeof(temporary), error, path);
    int fd;

    if (status != TROUPE_OK) {
        return status;
    }
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail_errno(error, "create", temporary);
    }
    /* The creation mode went through the umask, which may have taken our own rights too. */
    if (fchmod(fd, 0600) != 0 || !write_all(fd, content, FILE_BYTES) || fsync(fd) != 0) {
        status = fail_errno(error, "write", temporary);
    } else if (link(temporary, path) != 0) {
        status =
            errno == EEXIST
                ? fail(error, TROUPE_EEXIST,
                       "\"%s\" exists already and is not overwritten; move it away first", path)
                : fail_errno(error, "create", path);
    }
    close(fd);
    unlink(temporary);
    if (status == TROUPE_OK) {
        sync_directory(path);
    }
    return status;
}

enum troupe_status
trp_key_file_create(struct trp_nostr_key *key, struct trp_key_error *error, const char *path)
{
    struct trp_nostr_crypto *crypto = trp_nostr_crypto_create();
    uint8_t secret[TRP_NOSTR_SECRET_LEN];
    uint8_t content[FILE_BYTES];
    enum troupe_status status;

    if (crypto == NULL) {
        return fail(error, TROUPE_EIO, "no memory or no random bytes from the system");
    }
    status = trp_nostr_key_generate(crypto, key, secret);
    if (status != TROUPE_OK) {
        status = fail(error, TROUPE_EIO, "no random bytes from the system");
    } else {
        encode_secret(content, secret);
        content[HEX_DIGITS] = '\n';
        status = write_file(error, path, content);
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    OPENSSL_cleanse(content, sizeof(content));
    if (status != TROUPE_OK) {
        trp_nostr_key_wipe(key);
    }
    trp_nostr_crypto_destroy(crypto);
    return status;
}

/* Kind, owner and mode of an open file. */
static enum troupe_status check_file(struct trp_key_error *error, const char *path, int fd)
{
    struct stat info;

    if (fstat(fd, &info) != 0) {
        return fail_errno(error, "examine", path);
    }
    if (!S_ISREG(info.st_mode)) {
        return fail(error, TROUPE_EAUTH, "\"%s\" is not a regular file", path);
    }
    if (info.st_uid != geteuid() && info.st_uid != 0 && geteuid() != 0) {
        return fail(error, TROUPE_EAUTH, "\"%s\" belongs to another user (uid %lu)", path,
                    (unsigned long)info.st_uid);
    }
    if ((info.st_mode & 077) != 0) {
        return fail(error, TROUPE_EAUTH,
                    "\"%s\" has mode %04o: others may use it; run: chmod 600 \"%s\"", path,
                    (unsigned)(info.st_mode & 07777), path);
    }
    return TROUPE_OK;
}

/* Reads up to cap bytes; -1 on an error. */
static ssize_t read_up_to(int fd, uint8_t *out, size_t cap)
{
    size_t len = 0;

    while (len < cap) {
        ssize_t n = read(fd, out + len, cap - len);
        if (n == 0) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            return -1;
        }
        len += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)len;
}

static enum troupe_status read_secret(uint8_t secret[TRP_NOSTR_SECRET_LEN],
                                      struct trp_key_error *error,
                                      const char *path,
                                      int fd)
{
    uint8_t content[FILE_BYTES + 1]; /* one more, to see that the file ends */
    enum troupe_status status = TROUPE_OK;
    ssize_t len = read_up_to(fd, content, sizeof(content));

    if (len < 0) {
        status = fail_errno(error, "read", path);
    } else if (!((size_t)len == HEX_DIGITS ||
                 ((size_t)len == FILE_BYTES && content[HEX_DIGITS] == '\n')) ||
               !decode_secret(secret, content)) {
        status = fail(error, TROUPE_EPARSE,
                      "\"%s\" does not hold a key: expected 64 hex digits and a newline", path);
    }
    OPENSSL_cleanse(content, sizeof(content));
    return status;
}

static enum troupe_status fail_open(struct trp_key_error *error, const char *path)
{
    if (errno == ENOENT) {
        return fail(error, TROUPE_ENOTFOUND,
                    "\"%s\" does not exist; make it with: troupe key new --key \"%s\"", path, path);
    }
    if (errno == ELOOP) {
        return fail(error, TROUPE_EAUTH, "\"%s\" is a symbolic link; name the file itself", path);
    }
    return fail_errno(error, "open", path);
}

enum troupe_status
trp_key_file_load(struct trp_nostr_key *key, struct trp_key_error *error, const char *path)
{
    struct trp_nostr_crypto *crypto = NULL;
    uint8_t secret[TRP_NOSTR_SECRET_LEN];
    /* O_NONBLOCK: opening a named pipe must not wait for a writer. */
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    enum troupe_status status;

    if (fd < 0) {
        return fail_open(error, path);
    }
    status = check_file(error, path, fd);
    if (status == TROUPE_OK) {
        status = read_secret(secret, error, path, fd);
    }
    close(fd);
    if (status == TROUPE_OK) {
        crypto = trp_nostr_crypto_create();
        if (crypto == NULL) {
            status = fail(error, TROUPE_EIO, "no memory or no random bytes from the system");
        } else if (trp_nostr_key_init(crypto, key, secret) != TROUPE_OK) {
            status = fail(error, TROUPE_EPARSE,
                          "\"%s\" does not hold a valid secp256k1 key (0, or not below the order)",
                          path);
        }
        trp_nostr_crypto_destroy(crypto);
    }
    OPENSSL_cleanse(secret, sizeof(secret));
    return status;
}

enum troupe_status
trp_key_file_for_server(struct trp_nostr_key *key, struct trp_key_error *error, const char *path)
{
    char default_path[PATH_MAX];
    enum troupe_status status;

    if (path != NULL) {
        return trp_key_file_load(key, error, path);
    }
    status =
        trp_key_file_default_path(default_path, error, getenv("XDG_STATE_HOME"), getenv("HOME"));
    if (status != TROUPE_OK) {
        return status;
    }
    status = trp_key_file_load(key, error, default_path);
    if (status != TROUPE_ENOTFOUND) {
        return status;
    }
    status = trp_key_file_make_directories(default_path, error);
    if (status == TROUPE_OK) {
        status = trp_key_file_create(key, error, default_path);
    }
    if (status == TROUPE_EEXIST) {
        /* Another server started at the same moment and was first. */
        return trp_key_file_load(key, error, default_path);
    }
    if (status == TROUPE_OK) {
        trp_log_info("new server key", trp_log_str("file", default_path),
                     trp_log_hex("pubkey", key->pubkey, sizeof(key->pubkey)));
    }
    return status;
}
