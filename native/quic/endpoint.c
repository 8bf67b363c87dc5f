/* UDP sockets: how they are made, served, and given up. What goes through them: datagram-io.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#define RECEIVE_BUFFER (16 << 20)
#define SEND_BUFFER (2 << 20)

socklen_t sq_address_bytes(const struct sockaddr *address)
{
	return address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
	                                      : sizeof(struct sockaddr_in);
}

int sq_address_port(const struct sockaddr *address)
{
	return ntohs(address->sa_family == AF_INET6
	                     ? ((const struct sockaddr_in6 *)(const void *)address)->sin6_port
	                     : ((const struct sockaddr_in *)(const void *)address)->sin_port);
}

int sq_address_is_same(const struct sockaddr *a, const struct sockaddr *b)
{
	if (a->sa_family != b->sa_family || sq_address_port(a) != sq_address_port(b))
		return 0;
	if (a->sa_family == AF_INET6)
		return memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
		              &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr, 16) == 0;
	return memcmp(&((const struct sockaddr_in *)(const void *)a)->sin_addr,
	              &((const struct sockaddr_in *)(const void *)b)->sin_addr, 4) == 0;
}

static int is_any(const struct sockaddr *address)
{
	static const uint8_t zeros[16];

	if (address->sa_family == AF_INET6)
		return memcmp(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
		              zeros, 16) == 0;
	return ((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr == 0;
}

static void switch_on(int fd, int level, int option, int value)
{
	/* Where the kernel lacks one of them, QUIC works without. */
	if (setsockopt(fd, level, option, &value, sizeof(value)) != 0)
		errno = 0;
}

/* What QUIC wants of a socket: where packets came from and to, ECN, errors, no fragments. */
static void prepare_socket(int fd, int family)
{
	switch_on(fd, IPPROTO_IP, IP_PKTINFO, 1);
	switch_on(fd, IPPROTO_IP, IP_RECVTOS, 1);
	switch_on(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
	if (family == AF_INET6) {
		switch_on(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
		switch_on(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
		switch_on(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
	}
	switch_on(fd, IPPROTO_UDP, UDP_GRO, 1);
}

static void set_buffer(int fd, int option, int forced, int bytes)
{
	if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof(bytes)) != 0)
		switch_on(fd, SOL_SOCKET, option, bytes);
}

int sq_udp_socket(const struct sockaddr *address, int address_bytes, int options, int rcvbuf,
                  int sndbuf, const char *interface)
{
	int family = address->sa_family;
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, only = options & SQ_UDP_V6ONLY ? 1 : 0;
	int err;

	if (fd < 0)
		return -errno;
	prepare_socket(fd, family);
	set_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, rcvbuf > 0 ? rcvbuf : RECEIVE_BUFFER);
	set_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, sndbuf > 0 ? sndbuf : SEND_BUFFER);
	if (((options & SQ_UDP_REUSEPORT) &&
	     setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0) ||
	    (family == AF_INET6 && (options & (SQ_UDP_V6ONLY | SQ_UDP_DUAL)) &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) != 0) ||
	    ((options & SQ_UDP_TRANSPARENT) &&
	     setsockopt(fd, family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP,
	                family == AF_INET6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &one,
	                sizeof(one)) != 0) ||
	    (interface && interface[0] &&
	     setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
	                (socklen_t)strlen(interface)) != 0) ||
	    bind(fd, address, (socklen_t)address_bytes) != 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

struct sq_endpoint *sq_endpoint_get(struct sq_engine *engine, int endpoint)
{
	if (endpoint < 0 || endpoint >= engine->endpoint_count)
		return NULL;
	return engine->endpoints[endpoint];
}

static int has_local(const struct sq_endpoint *endpoint, const struct sockaddr *local)
{
	const struct sockaddr *own = (const struct sockaddr *)&endpoint->local;

	if (endpoint->is_wildcard)
		return own->sa_family == local->sa_family &&
		       sq_address_port(own) == sq_address_port(local);
	return sq_address_is_same(own, local);
}

struct sq_endpoint *sq_endpoint_for(struct sq_engine *engine, const struct sockaddr *local)
{
	struct sq_endpoint *found = NULL;

	for (int i = 0; i < engine->endpoint_count; i++) {
		struct sq_endpoint *endpoint = engine->endpoints[i];

		if (endpoint && endpoint->profile && has_local(endpoint, local) &&
		    (!found || found->is_wildcard))
			found = endpoint;
	}
	return found;
}

static int add_endpoint(struct sq_engine *engine, struct sq_endpoint *endpoint)
{
	struct sq_endpoint **grown;
	int index = 0;

	while (index < engine->endpoint_count && engine->endpoints[index])
		index++;
	if (index == engine->endpoint_count) {
		grown = realloc(engine->endpoints, (size_t)(index + 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		engine->endpoints = grown;
		engine->endpoint_count++;
	}
	engine->endpoints[index] = endpoint;
	endpoint->index = index;
	return index;
}

static struct sq_endpoint *new_endpoint(struct sq_engine *engine, int fd)
{
	struct sq_endpoint *endpoint = calloc(1, sizeof(*endpoint));

	if (!endpoint)
		return NULL;
	endpoint->engine = engine;
	endpoint->fd = fd;
	endpoint->local_bytes = sizeof(endpoint->local);
	if (getsockname(fd, (struct sockaddr *)&endpoint->local, &endpoint->local_bytes) != 0 ||
	    (endpoint->local.ss_family != AF_INET && endpoint->local.ss_family != AF_INET6)) {
		free(endpoint);
		return NULL;
	}
	endpoint->family = endpoint->local.ss_family;
	endpoint->is_wildcard = is_any((struct sockaddr *)&endpoint->local);
	endpoint->has_gso = 1;
	endpoint->is_accepting = 1;
	return endpoint;
}

int sq_listen(struct sq_engine *engine, struct sq_profile *profile, int fd)
{
	struct sq_endpoint *endpoint = new_endpoint(engine, fd);
	int index;

	if (!endpoint)
		return -EBADF;
	/* A descriptor that was inherited may not have them. */
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	prepare_socket(fd, endpoint->family);
	sq_tls_context_secret(profile->tls, engine->ticket_key);
	index = add_endpoint(engine, endpoint);
	if (index < 0)
		free(endpoint);
	else
		endpoint->profile = sq_profile_hold(profile);
	return index;
}

int sq_client_endpoint(struct sq_engine *engine, int family, const struct sockaddr *local,
                       int local_bytes, const char *interface)
{
	struct sockaddr_storage any = { 0 };
	struct sq_endpoint *endpoint;
	int fd, index;

	if (!local) {
		any.ss_family = (sa_family_t)family;
		local = (struct sockaddr *)&any;
		local_bytes = (int)sq_address_bytes(local);
	}
	fd = sq_udp_socket(local, local_bytes, 0, 0, 0, interface);
	if (fd < 0)
		return fd;
	switch_on(fd, IPPROTO_IP, IP_RECVERR, 1);
	if (local->sa_family == AF_INET6)
		switch_on(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	endpoint = new_endpoint(engine, fd);
	index = endpoint ? add_endpoint(engine, endpoint) : -ENOMEM;
	if (index < 0) {
		free(endpoint);
		close(fd);
	}
	return index;
}

int sq_endpoint_fd(struct sq_engine *engine, int index)
{
	struct sq_endpoint *endpoint = sq_endpoint_get(engine, index);

	return endpoint ? endpoint->fd : SQ_GONE;
}

int sq_endpoint_accept(struct sq_engine *engine, int index, int is_accepting)
{
	struct sq_endpoint *endpoint = sq_endpoint_get(engine, index);

	if (!endpoint)
		return SQ_GONE;
	endpoint->is_accepting = is_accepting;
	return 0;
}

void sq_endpoint_free(struct sq_endpoint *endpoint)
{
	while (endpoint->pending) {
		struct sq_pending *pending = endpoint->pending;

		endpoint->pending = pending->next;
		free(pending);
	}
	if (endpoint->profile)
		sq_profile_free(endpoint->profile);
	else
		close(endpoint->fd);
	free(endpoint);
}

int sq_endpoint_close(struct sq_engine *engine, int index)
{
	struct sq_endpoint *endpoint = sq_endpoint_get(engine, index);

	if (!endpoint)
		return SQ_GONE;
	if (endpoint->connections > 0)
		return -EBUSY;
	/* What the socket does not take is kept: it goes with the rest. */
	if (engine->sending.endpoint == endpoint)
		sq_send_all(engine);
	engine->endpoints[index] = NULL;
	sq_endpoint_free(endpoint);
	return 0;
}

int sq_endpoint_deltas(struct sq_engine *engine, int index, double *out)
{
	struct sq_endpoint *endpoint = sq_endpoint_get(engine, index);

	if (!endpoint)
		return SQ_GONE;
	for (int i = 0; i < SQ_N_COUNTS; i++) {
		out[i] = (double)(endpoint->counts[i] - endpoint->told[i]);
		endpoint->told[i] = endpoint->counts[i];
	}
	return 0;
}

int sq_endpoint_half_open(struct sq_engine *engine, int index)
{
	struct sq_endpoint *endpoint = sq_endpoint_get(engine, index);

	return endpoint ? (int)endpoint->half_open : SQ_GONE;
}
