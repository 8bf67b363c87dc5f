/*
 * The kernel's part in choosing a worker: a program of classic BPF that picks the socket of a
 * port's group by connection ID, without privileges. Sockets are numbered in the order in which
 * they were bound, behind those that other processes had there before (the old process of a
 * reload): their packets are left to them, new connections come to us. When one of the group is
 * closed, the last takes its number; what then arrives at the wrong worker is forwarded (routing.c).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#ifndef SO_DETACH_REUSEPORT_BPF
#define SO_DETACH_REUSEPORT_BPF 68
#endif
#define PROGRAM_MAX 1200
#define DUMP_BYTES 32768

struct program {
	struct sock_filter code[PROGRAM_MAX];
	int count;
};

static void emit(struct program *program, int op, int yes, int no, uint32_t value)
{
	program->code[program->count++] =
		(struct sock_filter){ (uint16_t)op, (uint8_t)yes, (uint8_t)no, value };
}

/* For packets whose connection ID begins at `at`. */
static void emit_choice(struct program *program, uint32_t at, const int32_t *workers, int count,
                        int others, int is_long)
{
	emit(program, BPF_LD | BPF_H | BPF_ABS, 0, 0, at + 2);
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, sq_instance());
	emit(program, BPF_JMP | BPF_JA, 0, 0, (uint32_t)(1 + count * 2));
	emit(program, BPF_LD | BPF_B | BPF_ABS, 0, 0, at);
	for (int i = 0; i < count; i++) {
		emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)workers[i]);
		emit(program, BPF_RET | BPF_K, 0, 0, (uint32_t)(others + i));
	}
	/* Of no worker of ours. The ID of a new connection is random: it spreads them. */
	emit(program, BPF_LD | BPF_B | BPF_ABS, 0, 0, at);
	if (!is_long && others > 0) {
		emit(program, BPF_ALU | BPF_MOD | BPF_K, 0, 0, (uint32_t)others);
	} else {
		emit(program, BPF_ALU | BPF_MOD | BPF_K, 0, 0, (uint32_t)count);
		emit(program, BPF_ALU | BPF_ADD | BPF_K, 0, 0, (uint32_t)others);
	}
	emit(program, BPF_RET | BPF_A, 0, 0, 0);
}

static int is_ours(const int32_t *fds, int count, uint32_t inode)
{
	struct stat status;

	for (int i = 0; i < count; i++)
		if (fstat(fds[i], &status) == 0 && (uint32_t)status.st_ino == inode)
			return 1;
	return 0;
}

static int is_at(const struct inet_diag_msg *socket, const struct sockaddr_storage *local)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)local;
	const struct sockaddr_in *four = (const struct sockaddr_in *)local;

	if (socket->idiag_family != local->ss_family ||
	    ntohs(socket->id.idiag_sport) != sq_address_port((const struct sockaddr *)local))
		return 0;
	if (local->ss_family == AF_INET6)
		return memcmp(socket->id.idiag_src, &six->sin6_addr, 16) == 0;
	return memcmp(socket->id.idiag_src, &four->sin_addr, 4) == 0;
}

/* Sockets at the address of fds[0] that are not among fds; -errno. */
static int count_others(const int32_t *fds, int count)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 body;
	} request = { 0 };
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct sockaddr_storage local;
	socklen_t local_bytes = sizeof(local);
	static _Thread_local _Alignas(struct nlmsghdr) uint8_t dump[DUMP_BYTES];
	int netlink, others = 0, is_done = 0;

	if (getsockname(fds[0], (struct sockaddr *)&local, &local_bytes) != 0)
		return -errno;
	netlink = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (netlink < 0)
		return -errno;
	request.head.nlmsg_len = sizeof(request);
	request.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request.body.sdiag_family = (uint8_t)local.ss_family;
	request.body.sdiag_protocol = IPPROTO_UDP;
	request.body.idiag_states = ~0u;
	if (sendto(netlink, &request, sizeof(request), 0, (struct sockaddr *)&kernel,
	           sizeof(kernel)) < 0)
		is_done = -errno;
	while (!is_done) {
		ssize_t length = recv(netlink, dump, sizeof(dump), 0);
		struct nlmsghdr *head = (struct nlmsghdr *)(void *)dump;
		unsigned left = length > 0 ? (unsigned)length : 0;

		if (length <= 0)
			is_done = length < 0 && errno == EINTR ? 0 : -EIO;
		for (; NLMSG_OK(head, left) && !is_done; head = NLMSG_NEXT(head, left)) {
			const struct inet_diag_msg *socket = NLMSG_DATA(head);

			if (head->nlmsg_type == NLMSG_DONE)
				is_done = 1;
			else if (head->nlmsg_type == NLMSG_ERROR)
				is_done = -EIO;
			else if (is_at(socket, &local) && !is_ours(fds, count, socket->idiag_inode))
				others++;
		}
	}
	close(netlink);
	return is_done < 0 ? is_done : others;
}

int sq_udp_steer(const int32_t *fds, const int32_t *workers, int count)
{
	struct program program = { .count = 0 };
	struct sock_fprog filter;
	int others;

	if (count < 1 || count > 254)
		return -EINVAL;
	others = count_others(fds, count);
	if (others < 0) {
		/* A program of another process would send new connections to it alone. */
		setsockopt(fds[0], SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &count, sizeof(count));
		return others;
	}
	emit(&program, BPF_LD | BPF_B | BPF_ABS, 0, 0, 0);
	emit(&program, BPF_JMP | BPF_JSET | BPF_K, 0, 1, 0x80);
	/* Over the choice for short packets, whose length is known. */
	emit(&program, BPF_JMP | BPF_JA, 0, 0,
	     (uint32_t)(7 + count * 2 + (others > 0 ? 0 : 1)));
	emit_choice(&program, 1, workers, count, others, 0);
	emit_choice(&program, 6, workers, count, others, 1);
	filter.len = (unsigned short)program.count;
	filter.filter = program.code;
	if (setsockopt(fds[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof(filter)) != 0)
		return -errno;
	return 0;
}
