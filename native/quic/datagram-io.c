/*
 * What goes through a UDP socket. In: several datagrams a call, each of them a train of packets of
 * one peer (GRO), with the address that they came to and their ECN bits. Out: trains (GSO) of many
 * connections in one call; what the socket does not take is kept with the endpoint, and its
 * connections wait.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define CONTROL_BYTES 256
#define ERRORS_MAX 32
/* What an endpoint keeps of unsent datagrams. */
#define PENDING_BYTES_MAX (1 << 20)
/* ENOBUFS for one datagram, a millisecond apart, before it is taken for lost. */
#define TRIES_MAX 4

/* ---- in ---- */

struct control {
	struct sockaddr_storage local;
	size_t segment;
	uint8_t ecn;
};

static void read_control(const struct sq_endpoint *endpoint, struct msghdr *message,
                         struct control *control)
{
	struct sockaddr_in *four = (struct sockaddr_in *)&control->local;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&control->local;
	struct cmsghdr *head;

	control->local = endpoint->local;
	control->segment = 0;
	control->ecn = 0;
	for (head = CMSG_FIRSTHDR(message); head; head = CMSG_NXTHDR(message, head)) {
		const void *data = CMSG_DATA(head);
		int number;

		if (head->cmsg_level == IPPROTO_IP && head->cmsg_type == IP_TOS) {
			control->ecn = *(const uint8_t *)data & 3;
		} else if (head->cmsg_level == IPPROTO_IPV6 && head->cmsg_type == IPV6_TCLASS) {
			memcpy(&number, data, sizeof(number));
			control->ecn = number & 3;
		} else if (head->cmsg_level == IPPROTO_UDP && head->cmsg_type == UDP_GRO) {
			memcpy(&number, data, sizeof(number));
			control->segment = number > 0 ? (size_t)number : 0;
		} else if (!endpoint->is_wildcard) {
			continue;
		} else if (head->cmsg_level == IPPROTO_IP && head->cmsg_type == IP_PKTINFO &&
		           endpoint->family == AF_INET) {
			memcpy(&four->sin_addr, &((const struct in_pktinfo *)data)->ipi_addr, 4);
		} else if (head->cmsg_level == IPPROTO_IPV6 && head->cmsg_type == IPV6_PKTINFO) {
			memcpy(&six->sin6_addr, &((const struct in6_pktinfo *)data)->ipi6_addr, 16);
		}
	}
}

/* One datagram of the kernel: one packet of UDP, or a train of them. */
static void take_train(struct sq_engine *engine, struct sq_endpoint *endpoint,
                       struct msghdr *message, const uint8_t *bytes, size_t length)
{
	struct control control;
	struct sq_packet packet = { 0 };

	read_control(endpoint, message, &control);
	packet.local = (struct sockaddr *)&control.local;
	packet.local_bytes = endpoint->local_bytes;
	packet.remote = message->msg_name;
	packet.remote_bytes = message->msg_namelen;
	packet.ecn = control.ecn;
	while (length > 0) {
		packet.bytes = bytes;
		packet.length = control.segment && control.segment < length ? control.segment
		                                                            : length;
		bytes += packet.length;
		length -= packet.length;
		sq_packet_in(engine, endpoint, &packet);
	}
}

/* One call's worth; io[SQ_IO_MORE] = 1 if the socket may have more. */
void sq_receive(struct sq_engine *engine, struct sq_endpoint *endpoint)
{
	struct mmsghdr messages[RECEIVE_BATCH];
	struct iovec pieces[RECEIVE_BATCH];
	struct sockaddr_storage remotes[RECEIVE_BATCH];
	_Alignas(struct cmsghdr) uint8_t controls[RECEIVE_BATCH][CONTROL_BYTES];
	int count;

	memset(messages, 0, sizeof(messages));
	for (int i = 0; i < RECEIVE_BATCH; i++) {
		pieces[i].iov_base = engine->receive_buffer + (size_t)i * UDP_BYTES_MAX;
		pieces[i].iov_len = UDP_BYTES_MAX;
		messages[i].msg_hdr.msg_iov = &pieces[i];
		messages[i].msg_hdr.msg_iovlen = 1;
		messages[i].msg_hdr.msg_name = &remotes[i];
		messages[i].msg_hdr.msg_namelen = sizeof(remotes[i]);
		messages[i].msg_hdr.msg_control = controls[i];
		messages[i].msg_hdr.msg_controllen = CONTROL_BYTES;
	}
	count = recvmmsg(endpoint->fd, messages, RECEIVE_BATCH, MSG_DONTWAIT, NULL);
	if (count < 0) {
		int error = errno;

		if (!endpoint->profile)
			sq_receive_errors(engine, endpoint);
		/* An error of a single peer is told once by the socket: read on. */
		if (error == EINTR || error == ECONNREFUSED || error == EHOSTUNREACH ||
		    error == ENETUNREACH || error == EMSGSIZE)
			engine->io[SQ_IO_MORE] = 1;
		else if (error != EAGAIN)
			endpoint->trouble = error;
		return;
	}
	for (int i = 0; i < count; i++)
		take_train(engine, endpoint, &messages[i].msg_hdr, pieces[i].iov_base,
		           messages[i].msg_len);
	if (count == RECEIVE_BATCH)
		engine->io[SQ_IO_MORE] = 1;
	else if (!endpoint->profile)
		sq_receive_errors(engine, endpoint);
}

/* Connections to `remote` that `quoted`, the packet that was sent back, is of. */
static void refuse(struct sq_engine *engine, struct sq_endpoint *endpoint,
                   const struct sockaddr *remote, const uint8_t *quoted, size_t length, int error)
{
	for (uint32_t slot = 0; slot < engine->connections.room; slot++) {
		struct sq_connection *connection = engine->connections.items[slot];
		const ngtcp2_path *path;
		const ngtcp2_cid *cid;
		size_t at = length > 0 && (quoted[0] & 0x80) ? 6 : 1;

		if (!connection || connection->endpoint != endpoint ||
		    !sq_connection_is_live(connection))
			continue;
		path = ngtcp2_conn_get_path2(connection->conn);
		cid = ngtcp2_conn_get_dcid2(connection->conn);
		if (!sq_address_is_same(path->remote.addr, remote))
			continue;
		/* Whoever is not on the path cannot know the ID (RFC 9000, 14.2.1). */
		if (length < at + cid->datalen || cid->datalen < 8 ||
		    memcmp(quoted + at, cid->data, cid->datalen) != 0)
			continue;
		/* What was established ends only when nobody has the port any more. */
		if (connection->state == SQ_STATE_HANDSHAKE || error == ECONNREFUSED)
			sq_connection_refused(connection, error);
	}
}

/* Errors that the network reported (ICMP). */
void sq_receive_errors(struct sq_engine *engine, struct sq_endpoint *endpoint)
{
	uint8_t quoted[2048];
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_BYTES];

	for (int i = 0; i < ERRORS_MAX; i++) {
		struct sockaddr_storage remote;
		struct iovec piece = { quoted, sizeof(quoted) };
		struct msghdr message = { 0 };
		struct cmsghdr *head;
		ssize_t length;

		message.msg_name = &remote;
		message.msg_namelen = sizeof(remote);
		message.msg_iov = &piece;
		message.msg_iovlen = 1;
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		length = recvmsg(endpoint->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);
		if (length < 0)
			return;
		for (head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
			struct sock_extended_err error;

			if (!(head->cmsg_level == IPPROTO_IP && head->cmsg_type == IP_RECVERR) &&
			    !(head->cmsg_level == IPPROTO_IPV6 && head->cmsg_type == IPV6_RECVERR))
				continue;
			memcpy(&error, CMSG_DATA(head), sizeof(error));
			if (error.ee_origin != SO_EE_ORIGIN_LOCAL && error.ee_errno != EMSGSIZE)
				refuse(engine, endpoint, (struct sockaddr *)&remote, quoted,
				       (size_t)length, (int)error.ee_errno);
		}
	}
}

int sq_feed(struct sq_engine *engine, int index, const struct sockaddr *remote, int remote_bytes,
            const uint8_t *bytes, int length)
{
	struct sq_endpoint *endpoint = sq_endpoint_get(engine, index);
	struct sq_packet packet = { 0 };

	if (!endpoint)
		return SQ_GONE;
	sq_clock(engine);
	packet.local = (struct sockaddr *)&endpoint->local;
	packet.local_bytes = endpoint->local_bytes;
	packet.remote = remote;
	packet.remote_bytes = (socklen_t)remote_bytes;
	packet.bytes = bytes;
	packet.length = (size_t)length;
	sq_packet_in(engine, endpoint, &packet);
	return 0;
}

/* ---- out ---- */

/* Control messages of a send; their length. */
static size_t write_control(const struct sq_endpoint *endpoint, struct msghdr *message,
                            const struct sockaddr_storage *local, int segment, int ecn)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(message);
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)local;
	int is_mapped = local->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr);
	size_t used = 0;

	if (segment > 0) {
		uint16_t bytes = (uint16_t)segment;

		head->cmsg_level = IPPROTO_UDP;
		head->cmsg_type = UDP_SEGMENT;
		head->cmsg_len = CMSG_LEN(sizeof(bytes));
		memcpy(CMSG_DATA(head), &bytes, sizeof(bytes));
		used += CMSG_SPACE(sizeof(bytes));
		head = (struct cmsghdr *)(void *)((uint8_t *)message->msg_control + used);
	}
	if (ecn) {
		int is_six = endpoint->family == AF_INET6 && !is_mapped;

		head->cmsg_level = is_six ? IPPROTO_IPV6 : IPPROTO_IP;
		head->cmsg_type = is_six ? IPV6_TCLASS : IP_TOS;
		head->cmsg_len = CMSG_LEN(sizeof(ecn));
		memcpy(CMSG_DATA(head), &ecn, sizeof(ecn));
		used += CMSG_SPACE(sizeof(ecn));
		head = (struct cmsghdr *)(void *)((uint8_t *)message->msg_control + used);
	}
	/* A client's packets go wherever the kernel sends them. */
	if (endpoint->is_wildcard && endpoint->profile && endpoint->family == AF_INET) {
		struct in_pktinfo info = { 0 };

		info.ipi_spec_dst = ((const struct sockaddr_in *)local)->sin_addr;
		head->cmsg_level = IPPROTO_IP;
		head->cmsg_type = IP_PKTINFO;
		head->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(head), &info, sizeof(info));
		used += CMSG_SPACE(sizeof(info));
	} else if (endpoint->is_wildcard && endpoint->profile) {
		struct in6_pktinfo info = { 0 };

		info.ipi6_addr = six->sin6_addr;
		head->cmsg_level = IPPROTO_IPV6;
		head->cmsg_type = IPV6_PKTINFO;
		head->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(head), &info, sizeof(info));
		used += CMSG_SPACE(sizeof(info));
	}
	return used;
}

/* Keeps one part for later; beyond the bound it is lost, as packets may be. */
static void keep(struct sq_endpoint *endpoint, const struct sq_sending *sending, int part)
{
	size_t length = sending->parts[part].length;
	struct sq_pending *pending;

	if (endpoint->pending_bytes + length > PENDING_BYTES_MAX)
		return;
	pending = malloc(sizeof(*pending) + length);
	if (!pending)
		return;
	pending->next = NULL;
	pending->remote = sending->parts[part].remote;
	pending->remote_bytes = sending->parts[part].remote_bytes;
	pending->local = sending->parts[part].local;
	pending->segment = sending->parts[part].segment;
	pending->ecn = sending->parts[part].ecn;
	pending->tries = 0;
	pending->connection = sending->parts[part].connection;
	pending->length = (uint32_t)length;
	memcpy(pending->bytes, sending->buffer + sending->parts[part].offset, length);
	if (endpoint->pending)
		endpoint->pending_last->next = pending;
	else
		endpoint->pending = pending;
	endpoint->pending_last = pending;
	endpoint->pending_bytes += length;
}

/* A train that the kernel does not split: packet by packet. */
static void send_singly(struct sq_endpoint *endpoint, struct msghdr *message, size_t segment)
{
	struct iovec piece = *message->msg_iov;
	struct msghdr single = *message;
	struct cmsghdr *head = CMSG_FIRSTHDR(&single);
	size_t left = piece.iov_len;

	/* The first control message is that of the train. */
	if (head && head->cmsg_level == IPPROTO_UDP) {
		size_t used = CMSG_SPACE(sizeof(uint16_t));

		single.msg_control = (uint8_t *)single.msg_control + used;
		single.msg_controllen -= used;
	}
	single.msg_iov = &piece;
	while (left > 0) {
		piece.iov_len = segment && segment < left ? segment : left;
		if (sendmsg(endpoint->fd, &single, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			endpoint->counts[SQ_N_SEND_BLOCKED] += errno == EAGAIN;
		piece.iov_base = (uint8_t *)piece.iov_base + piece.iov_len;
		left -= piece.iov_len;
	}
}

/* What to do about a datagram that was not sent: 1 = it is dealt with, 0 = it waits. */
static int handle_error(struct sq_engine *engine, struct sq_endpoint *endpoint,
                        struct msghdr *message, uint32_t handle, size_t segment, int error)
{
	struct sq_connection *connection;

	switch (error) {
	case EAGAIN:
	case ENOBUFS:
		endpoint->counts[SQ_N_SEND_BLOCKED]++;
		return 0;
	case EINTR:
		return 0;
	case EIO:
	case EINVAL:
		/* A device that cannot do the checksums of a train, or one that is too long. */
		if (segment && message->msg_iov->iov_len > segment) {
			endpoint->has_gso = 0;
			send_singly(endpoint, message, segment);
			return 1;
		}
		break;
	case EMSGSIZE:
	case EPERM:
		/* A probe of the path's MTU, a filter: lost, like on the way. */
		return 1;
	default:
		break;
	}
	connection = handle ? sq_connection_get(engine, handle) : NULL;
	if (connection && connection->state == SQ_STATE_HANDSHAKE && !connection->is_server)
		sq_connection_refused(connection, error);
	else if (error == EBADF || error == ENOMEM || error == ENOTSOCK)
		endpoint->trouble = error;
	return 1;
}

/* Sends parts from `first` on with one call; how many are dealt with, -1 = the socket is full. */
static int send_parts(struct sq_engine *engine, struct sq_endpoint *endpoint, int first)
{
	struct sq_sending *sending = &engine->sending;
	struct mmsghdr messages[SEND_BATCH];
	struct iovec pieces[SEND_BATCH];
	_Alignas(struct cmsghdr) uint8_t controls[SEND_BATCH][128];
	int count = sending->count - first;
	int sent;

	for (int i = 0; i < count; i++) {
		struct msghdr *message = &messages[i].msg_hdr;
		size_t length = sending->parts[first + i].length;
		size_t segment = sending->parts[first + i].segment;

		pieces[i].iov_base = sending->buffer + sending->parts[first + i].offset;
		pieces[i].iov_len = length;
		memset(message, 0, sizeof(*message));
		message->msg_name = &sending->parts[first + i].remote;
		message->msg_namelen = sending->parts[first + i].remote_bytes;
		message->msg_iov = &pieces[i];
		message->msg_iovlen = 1;
		message->msg_control = controls[i];
		message->msg_controllen = sizeof(controls[i]);
		message->msg_controllen =
			write_control(endpoint, message, &sending->parts[first + i].local,
		                      segment < length ? (int)segment : 0,
		                      sending->parts[first + i].ecn);
		if (message->msg_controllen == 0)
			message->msg_control = NULL;
	}
	errno = ENOBUFS;
	sent = sq_is_injected(engine, 4)
	               ? -1
	               : sendmmsg(endpoint->fd, messages, (unsigned)count,
	                          MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent > 0)
		return sent;
	return handle_error(engine, endpoint, &messages[0].msg_hdr,
	                    sending->parts[first].connection, sending->parts[first].segment,
	                    sent < 0 ? errno : EAGAIN)
	               ? 1
	               : -1;
}

void sq_send_all(struct sq_engine *engine)
{
	struct sq_sending *sending = &engine->sending;
	struct sq_endpoint *endpoint = (struct sq_endpoint *)(uintptr_t)sending->endpoint;
	int first = 0;

	while (first < sending->count && !endpoint->pending) {
		int dealt = send_parts(engine, endpoint, first);

		if (dealt < 0)
			break;
		first += dealt;
	}
	for (; first < sending->count; first++)
		keep(endpoint, sending, first);
	sending->count = 0;
	sending->used = 0;
	sending->endpoint = NULL;
}

/*
 * A device drops what is too long for the other end of its wire, a queue what is too much, and both
 * say ENOBUFS: the second may pass, the first never does, and must not hold up all others for ever.
 */
static int is_given_up(struct sq_pending *pending, int error)
{
	return error == ENOBUFS && ++pending->tries >= TRIES_MAX;
}

void sq_send_pending(struct sq_engine *engine, struct sq_endpoint *endpoint)
{
	while (endpoint->pending) {
		struct sq_pending *pending = endpoint->pending;
		struct iovec piece = { pending->bytes, pending->length };
		_Alignas(struct cmsghdr) uint8_t control[128];
		struct msghdr message = { 0 };

		message.msg_name = &pending->remote;
		message.msg_namelen = pending->remote_bytes;
		message.msg_iov = &piece;
		message.msg_iovlen = 1;
		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		message.msg_controllen = write_control(
			endpoint, &message, &pending->local,
			pending->segment < pending->length ? pending->segment : 0, pending->ecn);
		if (message.msg_controllen == 0)
			message.msg_control = NULL;
		errno = ENOBUFS;
		if ((sq_is_injected(engine, 4) ||
		     sendmsg(endpoint->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) &&
		    !is_given_up(pending, errno) &&
		    !handle_error(engine, endpoint, &message, pending->connection,
		                  pending->segment, errno))
			return;
		endpoint->pending = pending->next;
		endpoint->pending_bytes -= pending->length;
		free(pending);
	}
}

uint8_t *sq_send_room(struct sq_engine *engine, struct sq_endpoint *endpoint)
{
	struct sq_sending *sending = &engine->sending;

	if (sending->count > 0 &&
	    (sending->endpoint != endpoint || sending->count == SEND_BATCH ||
	     sending->used + UDP_BYTES_MAX > SEND_BUFFER_BYTES))
		sq_send_all(engine);
	if (endpoint->pending)
		return NULL;
	return sending->buffer + sending->used;
}

void sq_send_add(struct sq_engine *engine, struct sq_endpoint *endpoint, uint32_t connection,
                 const struct sockaddr *remote, socklen_t remote_bytes,
                 const struct sockaddr *local, size_t length, size_t segment, int ecn)
{
	struct sq_sending *sending = &engine->sending;
	int part = sending->count++;

	sending->endpoint = endpoint;
	memcpy(&sending->parts[part].remote, remote, remote_bytes);
	memcpy(&sending->parts[part].local, local, sq_address_bytes(local));
	sending->parts[part].remote_bytes = remote_bytes;
	sending->parts[part].connection = connection;
	sending->parts[part].offset = sending->used;
	sending->parts[part].length = length;
	sending->parts[part].segment = (uint16_t)segment;
	sending->parts[part].ecn = (uint8_t)ecn;
	sending->used += length;
}
