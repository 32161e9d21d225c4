//! Names and texts of errors. Programs above match on the texts, in the lower-case spelling that Go gives them.
//!
//! One packed text, a line per number from 1: no pointers, so no relocations.
#![forbid(unsafe_code)]

use crate::error::Errno;

/// Name and text: `("ENOENT", "no such file or directory")`; `None` for a number that Linux does not use.
pub(super) fn describe(errno: Errno) -> Option<(&'static str, &'static str)> {
    let number = usize::try_from(errno.raw_os_error()).ok()?;
    let line = TABLE.split('\n').nth(number.checked_sub(1)?)?;
    line.split_once(' ')
}

static TABLE: &str = "\
    EPERM operation not permitted\n\
    ENOENT no such file or directory\n\
    ESRCH no such process\n\
    EINTR interrupted system call\n\
    EIO input/output error\n\
    ENXIO no such device or address\n\
    E2BIG argument list too long\n\
    ENOEXEC exec format error\n\
    EBADF bad file descriptor\n\
    ECHILD no child processes\n\
    EAGAIN resource temporarily unavailable\n\
    ENOMEM cannot allocate memory\n\
    EACCES permission denied\n\
    EFAULT bad address\n\
    ENOTBLK block device required\n\
    EBUSY device or resource busy\n\
    EEXIST file exists\n\
    EXDEV invalid cross-device link\n\
    ENODEV no such device\n\
    ENOTDIR not a directory\n\
    EISDIR is a directory\n\
    EINVAL invalid argument\n\
    ENFILE too many open files in system\n\
    EMFILE too many open files\n\
    ENOTTY inappropriate ioctl for device\n\
    ETXTBSY text file busy\n\
    EFBIG file too large\n\
    ENOSPC no space left on device\n\
    ESPIPE illegal seek\n\
    EROFS read-only file system\n\
    EMLINK too many links\n\
    EPIPE broken pipe\n\
    EDOM numerical argument out of domain\n\
    ERANGE numerical result out of range\n\
    EDEADLK resource deadlock avoided\n\
    ENAMETOOLONG file name too long\n\
    ENOLCK no locks available\n\
    ENOSYS function not implemented\n\
    ENOTEMPTY directory not empty\n\
    ELOOP too many levels of symbolic links\n\
    -\n\
    ENOMSG no message of desired type\n\
    EIDRM identifier removed\n\
    ECHRNG channel number out of range\n\
    EL2NSYNC level 2 not synchronized\n\
    EL3HLT level 3 halted\n\
    EL3RST level 3 reset\n\
    ELNRNG link number out of range\n\
    EUNATCH protocol driver not attached\n\
    ENOCSI no CSI structure available\n\
    EL2HLT level 2 halted\n\
    EBADE invalid exchange\n\
    EBADR invalid request descriptor\n\
    EXFULL exchange full\n\
    ENOANO no anode\n\
    EBADRQC invalid request code\n\
    EBADSLT invalid slot\n\
    -\n\
    EBFONT bad font file format\n\
    ENOSTR device not a stream\n\
    ENODATA no data available\n\
    ETIME timer expired\n\
    ENOSR out of streams resources\n\
    ENONET machine is not on the network\n\
    ENOPKG package not installed\n\
    EREMOTE object is remote\n\
    ENOLINK link has been severed\n\
    EADV advertise error\n\
    ESRMNT srmount error\n\
    ECOMM communication error on send\n\
    EPROTO protocol error\n\
    EMULTIHOP multihop attempted\n\
    EDOTDOT RFS specific error\n\
    EBADMSG bad message\n\
    EOVERFLOW value too large for defined data type\n\
    ENOTUNIQ name not unique on network\n\
    EBADFD file descriptor in bad state\n\
    EREMCHG remote address changed\n\
    ELIBACC can not access a needed shared library\n\
    ELIBBAD accessing a corrupted shared library\n\
    ELIBSCN .lib section in a.out corrupted\n\
    ELIBMAX attempting to link in too many shared libraries\n\
    ELIBEXEC cannot exec a shared library directly\n\
    EILSEQ invalid or incomplete multibyte or wide character\n\
    ERESTART interrupted system call should be restarted\n\
    ESTRPIPE streams pipe error\n\
    EUSERS too many users\n\
    ENOTSOCK socket operation on non-socket\n\
    EDESTADDRREQ destination address required\n\
    EMSGSIZE message too long\n\
    EPROTOTYPE protocol wrong type for socket\n\
    ENOPROTOOPT protocol not available\n\
    EPROTONOSUPPORT protocol not supported\n\
    ESOCKTNOSUPPORT socket type not supported\n\
    EOPNOTSUPP operation not supported\n\
    EPFNOSUPPORT protocol family not supported\n\
    EAFNOSUPPORT address family not supported by protocol\n\
    EADDRINUSE address already in use\n\
    EADDRNOTAVAIL cannot assign requested address\n\
    ENETDOWN network is down\n\
    ENETUNREACH network is unreachable\n\
    ENETRESET network dropped connection on reset\n\
    ECONNABORTED software caused connection abort\n\
    ECONNRESET connection reset by peer\n\
    ENOBUFS no buffer space available\n\
    EISCONN transport endpoint is already connected\n\
    ENOTCONN transport endpoint is not connected\n\
    ESHUTDOWN cannot send after transport endpoint shutdown\n\
    ETOOMANYREFS too many references: cannot splice\n\
    ETIMEDOUT connection timed out\n\
    ECONNREFUSED connection refused\n\
    EHOSTDOWN host is down\n\
    EHOSTUNREACH no route to host\n\
    EALREADY operation already in progress\n\
    EINPROGRESS operation now in progress\n\
    ESTALE stale file handle\n\
    EUCLEAN structure needs cleaning\n\
    ENOTNAM not a XENIX named type file\n\
    ENAVAIL no XENIX semaphores available\n\
    EISNAM is a named type file\n\
    EREMOTEIO remote I/O error\n\
    EDQUOT disk quota exceeded\n\
    ENOMEDIUM no medium found\n\
    EMEDIUMTYPE wrong medium type\n\
    ECANCELED operation canceled\n\
    ENOKEY required key not available\n\
    EKEYEXPIRED key has expired\n\
    EKEYREVOKED key has been revoked\n\
    EKEYREJECTED key was rejected by service\n\
    EOWNERDEAD owner died\n\
    ENOTRECOVERABLE state not recoverable\n\
    ERFKILL operation not possible due to RF-kill\n\
    EHWPOISON memory page has hardware error";

#[cfg(test)]
mod tests {
    use super::describe;
    use crate::error::Errno;

    #[test]
    fn texts_that_clients_match() {
        for (errno, name, text) in [
            (Errno::PERM, "EPERM", "operation not permitted"),
            (Errno::NOENT, "ENOENT", "no such file or directory"),
            (Errno::SRCH, "ESRCH", "no such process"),
            (Errno::ACCESS, "EACCES", "permission denied"),
            (Errno::NOTDIR, "ENOTDIR", "not a directory"),
            (Errno::ISDIR, "EISDIR", "is a directory"),
            (Errno::NOEXEC, "ENOEXEC", "exec format error"),
            (Errno::INVAL, "EINVAL", "invalid argument"),
            (Errno::AGAIN, "EAGAIN", "resource temporarily unavailable"),
            (
                Errno::HWPOISON,
                "EHWPOISON",
                "memory page has hardware error",
            ),
        ] {
            assert_eq!(describe(errno), Some((name, text)));
        }
        for number in [41, 58, 134, 4095] {
            assert_eq!(describe(Errno::from_raw_os_error(number)), None);
        }
    }
}
