/*
 * Whose packet is it, and how does it get there.
 *
 *   connection ID:  worker │ generation │ process (2 bytes) │ 8 random bytes
 *
 * A worker that is handed a packet of another one gives it away: to an engine of the same process
 * through its mailbox, to another process that shares the port (the old one and the new one of a
 * reload) through an abstract UNIX socket that each engine has, whose name comes from the secret.
 * The owner answers from its own endpoint. A packet is given away once: who gets one that is not
 * for a connection of its own treats it as new, or answers with a stateless reset.
 *
 * The register of engines and all mailboxes are guarded by one mutex; nothing else of an engine is
 * touched by other threads.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/un.h>
#include <unistd.h>

#include "internal.h"
#include "tls-base.h"

#define WORKERS_MAX 255
/* Packets that wait in a mailbox; beyond, they are lost like on the way. */
#define MAIL_MAX 1024
/* Packets from other processes that one turn takes. */
#define PEER_BATCH 64
#define COOKIE_BYTES sizeof(((struct sq_engine *)0)->peer_cookie)

/* Head of a packet between processes. */
struct parcel {
	uint8_t cookie[COOKIE_BYTES];
	uint8_t ecn;
	uint8_t unused[3];
	uint32_t local_bytes, remote_bytes;
	struct sockaddr_in6 local, remote;
};

static pthread_mutex_t register_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sq_engine *engines[WORKERS_MAX];
static uint16_t instance;

/* The process among those that share a port; the same for all its engines. */
uint16_t sq_instance(void)
{
	pthread_mutex_lock(&register_lock);
	if (!instance && getrandom(&instance, sizeof(instance), 0) == sizeof(instance) && !instance)
		instance = 1;
	pthread_mutex_unlock(&register_lock);
	return instance;
}

void sq_cid_make(struct sq_engine *engine, ngtcp2_cid *cid)
{
	uint16_t tag = sq_instance();

	cid->datalen = CID_BYTES;
	cid->data[0] = (uint8_t)engine->worker;
	cid->data[1] = (uint8_t)engine->generation;
	cid->data[2] = (uint8_t)(tag >> 8);
	cid->data[3] = (uint8_t)tag;
	sq_random(engine, cid->data + 4, CID_BYTES - 4);
}

/* What names and packets are made of. Once: anybody's garbage may ask for a name. */
static int derive_peers(struct sq_engine *engine)
{
	uint8_t bytes[16];

	if (sq_derive(bytes, sizeof(bytes), engine->mail_key, "sluice peer") != 0 ||
	    sq_derive(engine->peer_cookie, COOKIE_BYTES, engine->mail_key,
	              "sluice peer cookie") != 0)
		return -1;
	for (int i = 0; i < 16; i++)
		snprintf(engine->peer_prefix + i * 2, 3, "%02x", bytes[i]);
	return 0;
}

/* The abstract name of the socket of a worker of a process. */
static socklen_t peer_name(const struct sq_engine *engine, uint16_t tag, int worker,
                           struct sockaddr_un *name)
{
	int length;

	memset(name, 0, sizeof(*name));
	name->sun_family = AF_UNIX;
	length = snprintf(name->sun_path + 1, sizeof(name->sun_path) - 1, "%s %u %d",
	                  engine->peer_prefix, tag, worker);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

/* A process that cannot have the socket (no such family in a sandbox) works alone. */
static void open_peer_socket(struct sq_engine *engine)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct sockaddr_un name;
	socklen_t length = peer_name(engine, sq_instance(), engine->worker, &name);
	int size = 1 << 20;

	engine->peer_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (engine->peer_fd < 0)
		return;
	setsockopt(engine->peer_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	event.data.fd = engine->peer_fd;
	if (bind(engine->peer_fd, (struct sockaddr *)&name, length) != 0 ||
	    epoll_ctl(engine->mail_fd, EPOLL_CTL_ADD, engine->peer_fd, &event) != 0) {
		close(engine->peer_fd);
		engine->peer_fd = -1;
	}
}

/* Worker 0 has connections to servers only: nobody hands it packets. */
int sq_routing_join(struct sq_engine *engine)
{
	if (engine->worker == 0)
		return 0;
	if (derive_peers(engine) != 0)
		return -1;
	open_peer_socket(engine);
	pthread_mutex_lock(&register_lock);
	engines[engine->worker] = engine;
	pthread_mutex_unlock(&register_lock);
	return 0;
}

void sq_routing_leave(struct sq_engine *engine)
{
	pthread_mutex_lock(&register_lock);
	if (engines[engine->worker] == engine)
		engines[engine->worker] = NULL;
	while (engine->mail) {
		struct sq_mail *mail = engine->mail;

		engine->mail = mail->next;
		free(mail);
	}
	pthread_mutex_unlock(&register_lock);
	if (engine->peer_fd >= 0)
		close(engine->peer_fd);
	engine->peer_fd = -1;
}

static struct sq_mail *mail_from(const struct sq_packet *packet)
{
	struct sq_mail *mail = malloc(sizeof(*mail) + packet->length);

	if (!mail)
		return NULL;
	memset(mail, 0, sizeof(*mail));
	memcpy(&mail->local, packet->local, packet->local_bytes);
	memcpy(&mail->remote, packet->remote, packet->remote_bytes);
	mail->local_bytes = packet->local_bytes;
	mail->remote_bytes = packet->remote_bytes;
	mail->ecn = packet->ecn;
	mail->length = (uint32_t)packet->length;
	memcpy(mail->bytes, packet->bytes, packet->length);
	return mail;
}

static int give_to_worker(int worker, const struct sq_packet *packet)
{
	struct sq_engine *owner;
	struct sq_mail *mail;
	uint64_t one = 1;

	pthread_mutex_lock(&register_lock);
	owner = worker < WORKERS_MAX ? engines[worker] : NULL;
	if (!owner) {
		pthread_mutex_unlock(&register_lock);
		return SQ_ROUTE_DEAD;
	}
	mail = owner->mail_count < MAIL_MAX ? mail_from(packet) : NULL;
	if (mail) {
		int was_empty = !owner->mail;

		if (owner->mail)
			owner->mail_last->next = mail;
		else
			owner->mail = mail;
		owner->mail_last = mail;
		owner->mail_count++;
		/* The counter of an eventfd cannot be full: it is rung once per batch. */
		if (was_empty && write(owner->bell_fd, &one, sizeof(one)) < 0)
			errno = 0;
	}
	pthread_mutex_unlock(&register_lock);
	return SQ_ROUTE_TAKEN;
}

static int give_to_process(struct sq_engine *engine, const uint8_t *cid,
                           const struct sq_packet *packet)
{
	struct parcel head;
	struct sockaddr_un name;
	struct iovec pieces[2] = { { &head, sizeof(head) },
		                   { (void *)(uintptr_t)packet->bytes, packet->length } };
	struct msghdr message = { 0 };

	if (engine->peer_fd < 0)
		return SQ_ROUTE_DEAD;
	memset(&head, 0, sizeof(head));
	message.msg_namelen = peer_name(engine, (uint16_t)(cid[2] << 8 | cid[3]), cid[0], &name);
	memcpy(head.cookie, engine->peer_cookie, COOKIE_BYTES);
	head.ecn = packet->ecn;
	head.local_bytes = packet->local_bytes;
	head.remote_bytes = packet->remote_bytes;
	memcpy(&head.local, packet->local, packet->local_bytes);
	memcpy(&head.remote, packet->remote, packet->remote_bytes);
	message.msg_name = &name;
	message.msg_iov = pieces;
	message.msg_iovlen = 2;
	if (sendmsg(engine->peer_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
	    (errno == ECONNREFUSED || errno == ENOENT))
		return SQ_ROUTE_DEAD;
	return SQ_ROUTE_TAKEN;
}

int sq_route(struct sq_engine *engine, const uint8_t *cid, const struct sq_packet *packet)
{
	uint16_t tag = sq_instance();

	if (packet->local_bytes > sizeof(struct sockaddr_in6) ||
	    packet->remote_bytes > sizeof(struct sockaddr_in6))
		return SQ_ROUTE_FOREIGN;
	if (cid[0] == 0 || cid[0] >= WORKERS_MAX)
		return SQ_ROUTE_FOREIGN;
	if ((cid[2] << 8 | cid[3]) != tag)
		return give_to_process(engine, cid, packet);
	if (cid[0] == engine->worker)
		return SQ_ROUTE_MINE;
	return give_to_worker(cid[0], packet);
}

static void take_packet(struct sq_engine *engine, struct sq_packet *packet)
{
	struct sq_endpoint *endpoint = sq_endpoint_for(engine, packet->local);

	packet->is_forwarded = 1;
	if (endpoint)
		sq_packet_in(engine, endpoint, packet);
}

static int read_peers(struct sq_engine *engine)
{
	struct parcel head;

	for (int i = 0; i < PEER_BATCH; i++) {
		struct iovec pieces[2] = { { &head, sizeof(head) },
			                   { engine->receive_buffer, UDP_BYTES_MAX } };
		struct msghdr message = { 0 };
		struct sq_packet packet = { 0 };
		ssize_t length;

		message.msg_iov = pieces;
		message.msg_iovlen = 2;
		length = recvmsg(engine->peer_fd, &message, MSG_DONTWAIT);
		if (length < 0)
			return 0;
		if ((size_t)length <= sizeof(head) ||
		    memcmp(head.cookie, engine->peer_cookie, COOKIE_BYTES) != 0 ||
		    head.local_bytes != sq_address_bytes((struct sockaddr *)&head.local) ||
		    head.remote_bytes != sq_address_bytes((struct sockaddr *)&head.remote))
			continue;
		packet.local = (struct sockaddr *)&head.local;
		packet.local_bytes = head.local_bytes;
		packet.remote = (struct sockaddr *)&head.remote;
		packet.remote_bytes = head.remote_bytes;
		packet.ecn = head.ecn & 3;
		packet.bytes = engine->receive_buffer;
		packet.length = (size_t)length - sizeof(head);
		take_packet(engine, &packet);
	}
	return 1;
}

int sq_mail_read(struct sq_engine *engine)
{
	struct sq_mail *mail;
	uint64_t rings;

	pthread_mutex_lock(&register_lock);
	mail = engine->mail;
	engine->mail = engine->mail_last = NULL;
	engine->mail_count = 0;
	if (read(engine->bell_fd, &rings, sizeof(rings)) < 0)
		rings = 0;
	pthread_mutex_unlock(&register_lock);
	while (mail) {
		struct sq_mail *next = mail->next;
		struct sq_packet packet = { 0 };

		packet.local = (struct sockaddr *)&mail->local;
		packet.local_bytes = mail->local_bytes;
		packet.remote = (struct sockaddr *)&mail->remote;
		packet.remote_bytes = mail->remote_bytes;
		packet.ecn = mail->ecn;
		packet.bytes = mail->bytes;
		packet.length = mail->length;
		take_packet(engine, &packet);
		free(mail);
		mail = next;
	}
	return engine->peer_fd >= 0 ? read_peers(engine) : 0;
}
