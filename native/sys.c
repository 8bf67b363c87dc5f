/*
 * What Bun cannot do for TCP, unix and abstract sockets: connect with options and without waiting,
 * listen with options, socket options on live sockets, descriptor limits.
 *
 * Every function returns a result >= 0 or -errno, and keeps no state. Loaded with bun:ffi by the
 * control plane and by every worker. Addresses are sockaddr bytes made by the caller.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

/* Options of a socket, as an array of 32-bit words: the same indices stand in sys.ts. */
enum {
	OPT_RCVBUF,        /* bytes, 0 = leave */
	OPT_SNDBUF,        /* bytes, 0 = leave */
	OPT_KEEPALIVE,     /* 0 or 1 */
	OPT_KEEP_IDLE,     /* seconds, 0 = leave */
	OPT_KEEP_INTERVAL, /* seconds, 0 = leave */
	OPT_KEEP_COUNT,    /* probes, 0 = leave */
	OPT_TFO,           /* connect: 0 or 1; listen: queue length */
	OPT_USER_TIMEOUT,  /* ms, 0 = leave */
	OPT_MARK,          /* SO_MARK, 0 = leave */
	OPT_TOS,           /* IP_TOS or IPV6_TCLASS, 0 = leave */
	OPT_REUSEPORT,     /* 0 or 1 */
	OPT_V6ONLY,        /* -1 = leave */
	OPT_TRANSPARENT,   /* 0 or 1 */
	OPT_DEFER_ACCEPT,  /* seconds, 0 = off */
	OPT_MSS,           /* bytes, 0 = leave */
	OPT_BACKLOG,       /* connections */
	OPT_QUICKACK,      /* 1 = hold back the last packet of the handshake: see sl_connect */
	OPT_COUNT
};

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0 ? 0 : -errno;
}

static int is_inet(int family)
{
	return family == AF_INET || family == AF_INET6;
}

/* Applies what both sides share. Returns 0 or -errno of the first option that failed. */
static int apply_common(int fd, int family, const int32_t *opt, const char *interface)
{
	int err = 0;

	if (opt[OPT_RCVBUF] > 0)
		err = err ? err : set_int(fd, SOL_SOCKET, SO_RCVBUF, opt[OPT_RCVBUF]);
	if (opt[OPT_SNDBUF] > 0)
		err = err ? err : set_int(fd, SOL_SOCKET, SO_SNDBUF, opt[OPT_SNDBUF]);
	if (opt[OPT_MARK])
		err = err ? err : set_int(fd, SOL_SOCKET, SO_MARK, opt[OPT_MARK]);
	if (!is_inet(family))
		return err;
	if (opt[OPT_KEEPALIVE])
		err = err ? err : set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (opt[OPT_KEEP_IDLE] > 0)
		err = err ? err : set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, opt[OPT_KEEP_IDLE]);
	if (opt[OPT_KEEP_INTERVAL] > 0)
		err = err ? err : set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, opt[OPT_KEEP_INTERVAL]);
	if (opt[OPT_KEEP_COUNT] > 0)
		err = err ? err : set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, opt[OPT_KEEP_COUNT]);
	if (opt[OPT_USER_TIMEOUT] > 0)
		err = err ? err : set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, opt[OPT_USER_TIMEOUT]);
	if (opt[OPT_MSS] > 0)
		err = err ? err : set_int(fd, IPPROTO_TCP, TCP_MAXSEG, opt[OPT_MSS]);
	if (opt[OPT_TOS]) {
		int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
		int name = family == AF_INET ? IP_TOS : IPV6_TCLASS;
		err = err ? err : set_int(fd, level, name, opt[OPT_TOS]);
	}
	if (opt[OPT_TRANSPARENT]) {
		int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
		int name = family == AF_INET ? IP_TRANSPARENT : IPV6_TRANSPARENT;
		err = err ? err : set_int(fd, level, name, 1);
	}
	if (interface && *interface && !err &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, strlen(interface) + 1) != 0)
		err = -errno;
	return err;
}

/*
 * Begins a connection without waiting for it.
 * source may be NULL; with port 0 the kernel chooses the port as late as connect.
 * Returns the descriptor (connected or in progress) or -errno.
 */
EXPORT int sl_connect(const struct sockaddr *addr, uint32_t addr_len,
                      const struct sockaddr *source, uint32_t source_len,
                      const int32_t *opt, const char *interface)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = opt ? apply_common(fd, addr->sa_family, opt, interface) : 0;
	if (!err && opt && opt[OPT_TFO] && is_inet(addr->sa_family))
		err = set_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
	/* A health check that resets at once then never reaches the server's accept(). */
	if (!err && opt && opt[OPT_QUICKACK] && is_inet(addr->sa_family))
		err = set_int(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
	if (!err && source && source_len) {
		uint16_t port = is_inet(source->sa_family)
			? ((const struct sockaddr_in *)source)->sin_port : 0;
		if (port)
			set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		else if (is_inet(source->sa_family))
			set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		if (bind(fd, source, source_len) != 0)
			err = -errno;
	}
	if (!err && connect(fd, addr, addr_len) != 0 && errno != EINPROGRESS)
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/* Binds and listens. Returns the descriptor or -errno. */
EXPORT int sl_listen(const struct sockaddr *addr, uint32_t addr_len,
                     const int32_t *opt, const char *interface)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = is_inet(addr->sa_family) ? set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1) : 0;
	if (!err && opt[OPT_REUSEPORT] && is_inet(addr->sa_family))
		err = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!err && addr->sa_family == AF_INET6 && opt[OPT_V6ONLY] >= 0)
		err = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, opt[OPT_V6ONLY]);
	if (!err)
		err = apply_common(fd, addr->sa_family, opt, interface);
	if (!err && opt[OPT_DEFER_ACCEPT] > 0 && is_inet(addr->sa_family))
		err = set_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, opt[OPT_DEFER_ACCEPT]);
	if (!err && opt[OPT_TFO] > 0 && is_inet(addr->sa_family))
		err = set_int(fd, IPPROTO_TCP, TCP_FASTOPEN, opt[OPT_TFO]);
	/* Inherited by accepted sockets: one system call less for each of them. */
	if (!err && is_inet(addr->sa_family))
		err = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!err && bind(fd, addr, addr_len) != 0)
		err = -errno;
	if (!err && listen(fd, opt[OPT_BACKLOG]) != 0)
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/* Applies the common options to a live socket. */
EXPORT int sl_tune(int fd, int family, const int32_t *opt)
{
	return apply_common(fd, family, opt, NULL);
}

/* Makes the next close a reset: nothing pending is sent, the peer sees an abort. */
EXPORT int sl_linger_zero(int fd)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0 ? 0 : -errno;
}

EXPORT int sl_set_int(int fd, int level, int name, int value)
{
	return set_int(fd, level, name, value);
}

EXPORT int sl_get_int(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) == 0 ? value : -errno;
}

/* Writes the local (peer = 0) or remote address; returns its length or -errno. */
EXPORT int sl_name(int fd, int peer, struct sockaddr *out, uint32_t room)
{
	socklen_t len = room;
	int ret = peer ? getpeername(fd, out, &len) : getsockname(fd, out, &len);

	return ret == 0 ? (int)len : -errno;
}

EXPORT int sl_dup(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return copy >= 0 ? copy : -errno;
}

EXPORT int sl_close(int fd)
{
	return close(fd) == 0 ? 0 : -errno;
}

/* 1 = `fd` is a listening stream socket, 0 = it is not, -errno = no socket at all. */
EXPORT int sl_is_listening(int fd)
{
	return sl_get_int(fd, SOL_SOCKET, SO_ACCEPTCONN);
}

/* Raises the soft and hard limit of descriptors towards `wanted`; returns the soft limit in force. */
EXPORT double sl_raise_descriptors(double wanted)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) != 0)
		return -errno;
	if (wanted > 0) {
		struct rlimit up = lim;
		up.rlim_cur = (rlim_t)wanted;
		if (up.rlim_max < up.rlim_cur)
			up.rlim_max = up.rlim_cur;
		if (setrlimit(RLIMIT_NOFILE, &up) != 0) {
			up.rlim_max = lim.rlim_max;
			if (up.rlim_cur > up.rlim_max)
				up.rlim_cur = up.rlim_max;
			if (setrlimit(RLIMIT_NOFILE, &up) != 0)
				return -errno;
		}
		getrlimit(RLIMIT_NOFILE, &lim);
	}
	return (double)lim.rlim_cur;
}

/* CPU time of the calling thread, in microseconds. */
EXPORT double sl_thread_cpu_micros(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) != 0)
		return 0;
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}
