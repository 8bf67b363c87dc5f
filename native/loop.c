/*
 * The event loop of a worker: edge-triggered epoll over sockets that Bun does not know.
 *
 * Why: Bun's own sockets cost a proxied connection seven epoll_ctl, five setsockopt and four fcntl
 * calls, and give each read a fresh buffer; registered once and read into one buffer, a connection
 * needs two epoll_ctl in its life (docs/decisions/0003-native-loop.md has the figures).
 *
 * One loop belongs to one thread. It keeps no state of a connection but "this descriptor is mine
 * and this is its generation"; what is readable and writable, JavaScript remembers. When the thread
 * has died, control closes what the loop owned.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* Kinds of events; the same numbers stand in src/conduit/loop/native-loop.ts. */
enum {
	EVENT_SOCKET = 1,   /* fd, generation, EPOLL* bits */
	EVENT_ACCEPTED = 2, /* fd, generation, listening fd */
	EVENT_ACCEPT_FAILED = 3, /* listening fd, 0, errno */
	EVENT_BELL = 4,     /* 0, 0, 0 */
};

#define EVENT_WORDS 4
#define EPOLL_BATCH 256
#define ACCEPT_BATCH 64
/* Generation of listening descriptors: none of a connection. */
#define LISTENER 0

struct sl_loop {
	int epoll;
	int bell;
	uint32_t generation;
	uint32_t room;          /* descriptors that `owned` has room for */
	uint32_t *owned;        /* generation by descriptor; 0 = not of this loop */
	int32_t *out;           /* events for JavaScript */
	int32_t out_events;     /* how many fit */
	struct epoll_event batch[EPOLL_BATCH];
};

static uint32_t next_generation(struct sl_loop *loop)
{
	loop->generation = (loop->generation + 1) & 0x7fffffff;
	if (loop->generation == LISTENER)
		loop->generation = 1;
	return loop->generation;
}

static int own(struct sl_loop *loop, int fd)
{
	if ((uint32_t)fd >= loop->room) {
		uint32_t room = loop->room;
		uint32_t *grown;

		while (room <= (uint32_t)fd)
			room *= 2;
		grown = realloc(loop->owned, room * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		memset(grown + loop->room, 0, (room - loop->room) * sizeof(*grown));
		loop->owned = grown;
		loop->room = room;
	}
	loop->owned[fd] = next_generation(loop);
	return 0;
}

static int watch(struct sl_loop *loop, int fd)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
	};
	int err = own(loop, fd);

	if (err)
		return err;
	event.data.u64 = (uint64_t)loop->generation << 32 | (uint32_t)fd;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
		loop->owned[fd] = 0;
		return -errno;
	}
	return 0;
}

/*
 * `out` holds `out_events` events of EVENT_WORDS words; `bell` is an eventfd of a former loop of the
 * same worker, or -1. NULL when the system gives no descriptor.
 */
EXPORT struct sl_loop *sl_loop_new(int32_t *out, int32_t out_events, int bell)
{
	struct sl_loop *loop = calloc(1, sizeof(*loop));
	struct epoll_event event = { .events = EPOLLIN };

	if (!loop)
		return NULL;
	loop->out = out;
	loop->out_events = out_events;
	loop->room = 1024;
	loop->owned = calloc(loop->room, sizeof(*loop->owned));
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	loop->bell = bell >= 0 ? bell : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	event.data.u64 = (uint32_t)loop->bell;
	if (!loop->owned || loop->epoll < 0 || loop->bell < 0 ||
	    epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->bell, &event) != 0) {
		if (loop->epoll >= 0)
			close(loop->epoll);
		if (loop->bell >= 0 && loop->bell != bell)
			close(loop->bell);
		free(loop->owned);
		free(loop);
		return NULL;
	}
	return loop;
}

/*
 * Closes everything that the loop owns, and the loop. For a loop whose thread has ended. The bell
 * stays open for the worker's next loop: another thread may be about to ring it, and its number
 * must not be a client's socket by then.
 */
EXPORT void sl_loop_destroy(struct sl_loop *loop)
{
	if (!loop)
		return;
	for (uint32_t fd = 0; fd < loop->room; fd++)
		if (loop->owned[fd])
			close((int)fd);
	close(loop->epoll);
	free(loop->owned);
	free(loop);
}

EXPORT int sl_loop_bell(struct sl_loop *loop)
{
	return loop->bell;
}

/* Wakes the loop whose bell this is; any thread. */
EXPORT int sl_ring(int bell)
{
	uint64_t one = 1;

	return write(bell, &one, sizeof(one)) == (ssize_t)sizeof(one) ? 0 : -errno;
}

/* Begins or stops to accept on a listening descriptor, which stays open and its owner's. */
EXPORT int sl_loop_listen(struct sl_loop *loop, int fd, int accepting)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLEXCLUSIVE };

	event.data.u64 = (uint32_t)fd;
	if (!accepting)
		return epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL) == 0 ? 0 : -errno;
	/* An inherited descriptor may block: then accepting to the last client would hang the loop. */
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	/* Inherited by what is accepted; not a TCP socket, no harm. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

int sl_connect(const struct sockaddr *addr, uint32_t addr_len, const struct sockaddr *source,
               uint32_t source_len, const int32_t *opt, const char *interface);

/*
 * sl_connect, and the descriptor is the loop's at once: a thread that is ended between two calls
 * would leave a socket that nobody knows. Returns the descriptor or -errno.
 */
EXPORT int sl_loop_connect(struct sl_loop *loop, const struct sockaddr *addr, uint32_t addr_len,
                           const struct sockaddr *source, uint32_t source_len,
                           const int32_t *opt, const char *interface)
{
	int fd = sl_connect(addr, addr_len, source, source_len, opt, interface);
	int err = fd >= 0 ? watch(loop, fd) : fd;

	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

/* Generation of a descriptor of the loop. */
EXPORT int sl_loop_generation(struct sl_loop *loop, int fd)
{
	return (int)loop->owned[fd];
}

/*
 * Watches a descriptor that is no connection: it is told of as long as there is something to read,
 * by EVENT_SOCKET. `owned`: it is the loop's from now on; else whoever has it takes it off before
 * he closes it. Returns its generation or -errno, and then it is the caller's as before.
 */
EXPORT int sl_loop_watch(struct sl_loop *loop, int fd, int owned)
{
	struct epoll_event event = { .events = EPOLLIN };
	int err = owned ? own(loop, fd) : 0;

	if (err)
		return err;
	if (!owned)
		next_generation(loop);
	event.data.u64 = (uint64_t)loop->generation << 32 | (uint32_t)fd;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
		err = -errno;
		if (owned)
			loop->owned[fd] = 0;
		return err;
	}
	return (int)loop->generation;
}

/* Takes such a descriptor off; one that the loop owns is closed. */
EXPORT int sl_loop_unwatch(struct sl_loop *loop, int fd)
{
	int err = epoll_ctl(loop->epoll, EPOLL_CTL_DEL, fd, NULL) == 0 ? 0 : -errno;

	if ((uint32_t)fd < loop->room && loop->owned[fd]) {
		loop->owned[fd] = 0;
		close(fd);
	}
	return err;
}

static int accept_some(struct sl_loop *loop, int listener, int count)
{
	for (int i = 0; i < ACCEPT_BATCH && count < loop->out_events - EPOLL_BATCH; i++) {
		int32_t *event = loop->out + count * EVENT_WORDS;
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		int err = fd < 0 ? -errno : watch(loop, fd);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0 && errno == EAGAIN)
			break;
		if (err) {
			if (fd >= 0)
				close(fd);
			event[0] = EVENT_ACCEPT_FAILED;
			event[1] = listener;
			event[2] = 0;
			event[3] = -err;
			return count + 1;
		}
		event[0] = EVENT_ACCEPTED;
		event[1] = fd;
		event[2] = (int32_t)loop->generation;
		event[3] = listener;
		count++;
	}
	return count;
}

/* Accepts what waits on a listening descriptor, watched or not. Fills the events like a poll. */
EXPORT int sl_loop_accept(struct sl_loop *loop, int fd)
{
	return accept_some(loop, fd, 0);
}

/* Waits up to timeout_ms (-1 = for ever) and fills the events. Returns how many, or -errno. */
EXPORT int sl_loop_poll(struct sl_loop *loop, int timeout_ms)
{
	/* Each listener may turn into a batch of accepts: leave room for them. */
	int most = EPOLL_BATCH;
	int ready = epoll_wait(loop->epoll, loop->batch, most, timeout_ms);
	int count = 0;

	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < ready; i++) {
		uint64_t data = loop->batch[i].data.u64;
		int fd = (int)(uint32_t)data;
		uint32_t generation = (uint32_t)(data >> 32);
		int32_t *event = loop->out + count * EVENT_WORDS;

		if (fd == loop->bell) {
			uint64_t rings;

			if (read(fd, &rings, sizeof(rings)) < 0)
				rings = 0;
			event[0] = EVENT_BELL;
			event[1] = event[2] = event[3] = 0;
			count++;
		} else if (generation == LISTENER) {
			count = accept_some(loop, fd, count);
		} else {
			event[0] = EVENT_SOCKET;
			event[1] = fd;
			event[2] = (int32_t)generation;
			event[3] = (int32_t)loop->batch[i].events;
			count++;
		}
	}
	return count;
}

/* Bytes read, 0 = the peer has finished, -errno. */
EXPORT int sl_recv(int fd, void *buffer, uint32_t length)
{
	ssize_t n = recv(fd, buffer, length, MSG_DONTWAIT);

	return n >= 0 ? (int)n : -errno;
}

/* Bytes taken, or -errno. */
EXPORT int sl_send(int fd, const char *buffer, uint32_t offset, uint32_t length)
{
	ssize_t n = send(fd, buffer + offset, length, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n >= 0 ? (int)n : -errno;
}

EXPORT int sl_finish(int fd)
{
	return shutdown(fd, SHUT_WR) == 0 ? 0 : -errno;
}

/* Closes a descriptor of the loop; `abort`: with a reset, nothing pending is sent. */
EXPORT int sl_loop_close(struct sl_loop *loop, int fd, int abort)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (abort)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	loop->owned[fd] = 0;
	return close(fd) == 0 ? 0 : -errno;
}
