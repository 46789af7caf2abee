#ifndef TRP_PROCESS_ORPHANS_H
#define TRP_PROCESS_ORPHANS_H

/**
 * Finds the children a process has right now, the adopted ones included.
 *
 * A subreaper is not told whom it adopts; the kernel's own lists are the only source. A pid found
 * here stays valid until its parent reaps it, so the parent itself may signal it without a race.
 */

#include <stddef.h>
#include <sys/types.h>

#include <troupe/status.h>

/** One child. */
typedef void trp_orphans_cb(void *arg, pid_t pid);

/**
 * Calls back for every child of a single-threaded process.
 *
 * Reads the kernel's list of children where it is built in (CONFIG_PROC_CHILDREN), else the parent
 * of every process under /proc. Zombies may be among them.
 *
 * @param[in] parent  process id
 * @return TROUPE_OK; TROUPE_EUNAVAIL when /proc cannot be read
 * Threads: any
 * Cost:    O(children) or O(processes of the machine) file reads; allocates nothing
 */
TROUPE_MUST_USE enum troupe_status trp_orphans_each(pid_t parent, trp_orphans_cb *cb, void *arg);

/** The first way of trp_orphans_each alone: reads a file of pids separated by blanks. */
TROUPE_MUST_USE enum troupe_status
trp_orphans_each_listed(const char *path, trp_orphans_cb *cb, void *arg);

/** The second way alone: looks at the parent of every process under /proc. */
TROUPE_MUST_USE enum troupe_status
trp_orphans_each_scanned(pid_t parent, trp_orphans_cb *cb, void *arg);

/**
 * The parent in a line of /proc/PID/stat. The program's name in it may hold anything, blanks and
 * brackets included.
 *
 * @return the parent's pid; -1 when the line is malformed
 */
pid_t trp_orphans_stat_parent(const char *line, size_t len);

#endif
