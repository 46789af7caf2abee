#include <troupe/status.h>

#include <errno.h>

const char *troupe_status_text(enum troupe_status status)
{
    switch (status) {
#define CASE(name, value, text, rpc)                                                               \
    case name:                                                                                     \
        return text;
        TROUPE_STATUS_LIST(CASE)
#undef CASE
    }
    return "unknown status";
}

const char *troupe_status_name(enum troupe_status status)
{
    switch (status) {
#define CASE(name, value, text, rpc)                                                               \
    case name:                                                                                     \
        return #name;
        TROUPE_STATUS_LIST(CASE)
#undef CASE
    }
    return "TROUPE_UNKNOWN";
}

int troupe_status_jsonrpc(enum troupe_status status)
{
    switch (status) {
#define CASE(name, value, text, rpc)                                                               \
    case name:                                                                                     \
        return rpc;
        TROUPE_STATUS_LIST(CASE)
#undef CASE
    }
    return 0;
}

enum troupe_status troupe_status_from_errno(int negative_errno)
{
    if (negative_errno >= 0) {
        return TROUPE_OK;
    }
    switch (-negative_errno) {
    case ENOMEM:
    case ENOBUFS:
        return TROUPE_ENOMEM;
    case EINVAL:
        return TROUPE_EINVAL;
    case ECANCELED:
        return TROUPE_ECANCELED;
    case EBUSY:
    case EAGAIN:
        return TROUPE_EBUSY;
    case EPIPE:
    case ECONNRESET:
    case EBADF:
        return TROUPE_ECLOSED;
    case ETIME:
    case ETIMEDOUT:
        return TROUPE_EEXPIRED;
    case ENOENT:
        return TROUPE_ENOTFOUND;
    case EEXIST:
    case EADDRINUSE:
        return TROUPE_EEXIST;
    case ENOSYS:
    case EPERM:
    case EACCES:
        return TROUPE_EUNAVAIL;
    case EMSGSIZE:
    case E2BIG:
        return TROUPE_ETOOLARGE;
    default:
        return TROUPE_EIO;
    }
}
