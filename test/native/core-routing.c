/* Packets that reach their owner: workers, steering by the kernel, two processes, migration. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core-cases.h"

/* ---- routing, migration ---- */

void packets_reach_their_worker(void)
{
	uint32_t at_client, at_server, mine, theirs;
	struct sockaddr_in relayed, old;
	struct relay relay;
	struct node *other;
	uint8_t bytes[8];
	int fd, other_endpoint;

	begin(NULL);
	relay_start(&relay, &address, &relayed);
	join(client, client_endpoint, client_profile, server, &relayed, &at_client, &at_server);
	open_pair(at_client, 0, &mine, &theirs);
	world_settle(60);
	sq_conn_address(server->engine, at_server, 1, (struct sockaddr *)&old, sizeof(old));
	/* Another worker takes the first one's place at the socket, which listens elsewhere. */
	other = node_new(2, 0, 4096);
	fd = server->fds[2].fd;
	server->fds[2].fd = dup(fd);
	close(server->fds[2].fd);
	server->fd_count = 2;
	other_endpoint = node_listen_fd(other, server_profile, fd);
	relay_rebind(&relay);
	say(client, mine, "moved");
	EXPECT_NUMBER(hear_all(server, theirs, bytes, 5, NULL), 5);
	wait_event(server, SQ_EV_MIGRATED, at_server, 0);
	EXPECT_NUMBER(number_of(server, at_server, SQ_N_MIGRATIONS), 1);
	EXPECT(endpoint_number(other, other_endpoint, SQ_N_FORWARDED) >= 1);
	say(server, theirs, "answer");
	EXPECT_NUMBER(hear_all(client, mine, bytes, 6, NULL), 6);
	relay_end(&relay);
	close(fd);
	end();
}

static uint32_t connect_from(int family, const struct sockaddr *to, socklen_t length)
{
	int endpoint = sq_client_endpoint(client->engine, family, NULL, 0, NULL);
	double handle;

	EXPECT(endpoint >= 0);
	client->fds[client->fd_count].fd = sq_endpoint_fd(client->engine, endpoint);
	client->fds[client->fd_count++].endpoint = endpoint;
	handle = sq_connect(client->engine, client_profile, endpoint, to, (int)length, "server.test",
	                    11, "server.test", 11, NULL, 0, NULL, 0);
	EXPECT(handle > 0);
	return (uint32_t)handle;
}

/* A socket without an address of its own answers from the one that was asked. */
void answers_come_from_the_address_that_was_asked(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6 }, to6 = any6;
	struct sockaddr_storage seen;
	socklen_t length = sizeof(any);
	uint32_t at_client, at_server;
	int fd;

	begin(NULL);
	fd = sq_udp_socket((struct sockaddr *)&any, sizeof(any), 0, 0, 0, NULL);
	EXPECT(fd >= 0 && getsockname(fd, (struct sockaddr *)&any, &length) == 0);
	node_listen_fd(server, server_profile, fd);
	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 6);
	at_client = connect_from(AF_INET, (struct sockaddr *)&any, sizeof(any));
	wait_event(client, SQ_EV_CONNECTED, at_client, 0);
	at_server = wait_event(server, SQ_EV_ACCEPTED, 0, 0).connection;
	sq_conn_address(server->engine, at_server, 0, (struct sockaddr *)&seen, sizeof(seen));
	EXPECT(memcmp(&seen, &any, 8) == 0);

	/* IPv6, and IPv4 by the same socket. */
	fd = sq_udp_socket((struct sockaddr *)&any6, sizeof(any6), SQ_UDP_DUAL, 0, 0, NULL);
	length = sizeof(any6);
	EXPECT(fd >= 0 && getsockname(fd, (struct sockaddr *)&any6, &length) == 0);
	node_listen_fd(server, server_profile, fd);
	to6.sin6_addr = in6addr_loopback;
	to6.sin6_port = any6.sin6_port;
	at_client = connect_from(AF_INET6, (struct sockaddr *)&to6, sizeof(to6));
	wait_event(client, SQ_EV_CONNECTED, at_client, 0);
	at_server = wait_event(server, SQ_EV_ACCEPTED, 0, 0).connection;
	sq_conn_address(server->engine, at_server, 0, (struct sockaddr *)&seen, sizeof(seen));
	EXPECT(memcmp(&((struct sockaddr_in6 *)&seen)->sin6_addr, &in6addr_loopback, 16) == 0);
	any.sin_port = any6.sin6_port;
	at_client = connect_from(AF_INET, (struct sockaddr *)&any, sizeof(any));
	wait_event(client, SQ_EV_CONNECTED, at_client, 0);
	at_server = wait_event(server, SQ_EV_ACCEPTED, 0, 0).connection;
	sq_conn_address(server->engine, at_server, 0, (struct sockaddr *)&seen, sizeof(seen));
	EXPECT(IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *)&seen)->sin6_addr));
	end();
}

/* Sixteen clients whose address changes: the kernel finds their workers, nothing is forwarded. */
void the_kernel_finds_the_worker(void)
{
	struct node *workers[2];
	struct relay relay;
	struct sockaddr_in relayed;
	uint32_t at_client, stream;
	int32_t fds[2], numbers[2] = { 1, 2 };
	int endpoints[2], accepted[2] = { 0, 0 };
	uint8_t bytes[8];

	begin(NULL);
	workers[0] = server;
	workers[1] = node_new(2, 0, 4096);
	endpoints[0] = server_endpoint;
	fds[0] = server->fds[2].fd;
	endpoints[1] = node_listen(workers[1], server_profile, &address);
	fds[1] = workers[1]->fds[2].fd;
	EXPECT_NUMBER(sq_udp_steer(fds, numbers, 2), 0);
	for (int i = 0; i < 16; i++) {
		int which;

		relay_start(&relay, &address, &relayed);
		at_client = node_connect(client, client_endpoint, client_profile, &relayed);
		wait_event(client, SQ_EV_CONNECTED, at_client, 0);
		world_settle(10);
		which = has_event(workers[1], SQ_EV_ACCEPTED, 0, 0);
		wait_event(workers[which], SQ_EV_ACCEPTED, 0, 0);
		accepted[which]++;
		relay_rebind(&relay);
		stream = (uint32_t)sq_stream_open(client->engine, at_client, 0);
		say(client, stream, "moved");
		stream = wait_event(workers[which], SQ_EV_STREAM, 0, 0).stream;
		EXPECT_NUMBER(hear_all(workers[which], stream, bytes, 5, NULL), 5);
		sq_conn_close(client->engine, at_client, 0, 0, 0, "", 0);
		world_settle(10);
		relay_end(&relay);
		forget_events(client);
		forget_events(workers[0]);
		forget_events(workers[1]);
	}
	EXPECT(accepted[0] > 0 && accepted[1] > 0);
	EXPECT_NUMBER(endpoint_number(workers[0], endpoints[0], SQ_N_FORWARDED), 0);
	EXPECT_NUMBER(endpoint_number(workers[1], endpoints[1], SQ_N_FORWARDED), 0);
	close(fds[1]);
	end();
}

/* ---- two processes ---- */

/* The old process of a reload: echoes what comes on streams at a port until it is told to end. */
int be_the_old_process(const char *port)
{
	struct pollfd input = { 0, POLLIN, 0 };

	world.folder = getenv("QUIC_CORE_FOLDER");
	server_profile = profile_server("server");
	server = node_new(1, 0, 4096);
	address.sin_port = htons((uint16_t)atoi(port));
	server_endpoint = node_listen(server, server_profile, &address);
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	while (poll(&input, 1, 0) == 0) {
		world_turn(5);
		while (has_event(server, SQ_EV_DATA, 0, 0)) {
			uint32_t stream = wait_event(server, SQ_EV_DATA, 0, 0).stream;
			uint8_t bytes[256];
			int count = hear(server, stream, bytes, sizeof(bytes), NULL);

			sq_stream_write(server->engine, stream, bytes, 0, count);
		}
	}
	world_end();
	sq_profile_free(server_profile);
	return 0;
}

static pid_t start_old_process(int *port, int *input)
{
	int in[2], out[2];
	char line[16] = "";
	pid_t pid;

	if (pipe(in) != 0 || pipe(out) != 0 || (pid = fork()) < 0)
		return -1;
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		setenv("QUIC_CORE_FOLDER", world.folder, 1);
		execl("/proc/self/exe", "quic-core", "--old", "0", (char *)NULL);
		_exit(2);
	}
	close(in[0]);
	close(out[1]);
	EXPECT(read(out[0], line, sizeof(line) - 1) > 0);
	close(out[0]);
	*port = atoi(line);
	*input = in[1];
	return pid;
}

static void echo_through(uint32_t stream)
{
	uint8_t bytes[8];

	say(client, stream, "hello");
	EXPECT_NUMBER(hear_all(client, stream, bytes, 5, NULL), 5);
}

/* A reload: what the old process has stays its own, whatever the kernel does; all else is ours. */
void processes_share_a_port(void)
{
	static const struct sockaddr_in nowhere;
	uint32_t old, young, old_stream;
	struct relay relay;
	struct sockaddr_in relayed;
	int32_t worker = 1;
	int port = 0, input = -1, forwarded = 0, status;
	pid_t pid = start_old_process(&port, &input);
	double numbers[SQ_N_COUNTS];

	begin(NULL);
	address = nowhere;
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons((uint16_t)port);
	relay_start(&relay, &address, &relayed);
	old = node_connect(client, client_endpoint, client_profile, &relayed);
	wait_event(client, SQ_EV_CONNECTED, old, 0);
	old_stream = (uint32_t)sq_stream_open(client->engine, old, 0);
	echo_through(old_stream);
	server_endpoint = node_listen(server, server_profile, &address);
	EXPECT_NUMBER(sq_udp_steer(&server->fds[3].fd, &worker, 1), 0);
	for (int i = 0; i < 8; i++) {
		struct sockaddr_in direct = address;

		young = node_connect(client, client_endpoint, client_profile, &direct);
		wait_event(client, SQ_EV_CONNECTED, young, 0);
		wait_event(server, SQ_EV_ACCEPTED, 0, 0);
		relay_rebind(&relay);
		echo_through(old_stream);
	}
	sq_endpoint_deltas(server->engine, server_endpoint, numbers);
	EXPECT_NUMBER(numbers[SQ_N_FORWARDED], 0);
	/* Without the program the kernel's hash decides: half of it comes to us, and is passed on. */
	setsockopt(server->fds[3].fd, SOL_SOCKET, 68, &worker, sizeof(worker));
	for (int i = 0; i < 40 && !forwarded; i++) {
		relay_rebind(&relay);
		echo_through(old_stream);
		sq_endpoint_deltas(server->engine, server_endpoint, numbers);
		forwarded = numbers[SQ_N_FORWARDED] > 0;
	}
	EXPECT(forwarded);
	/* The old process is gone: what it had is reset by the new one. */
	close(input);
	EXPECT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	say(client, old_stream, "anyone?");
	EXPECT_NUMBER(wait_event(client, SQ_EV_CLOSED, old, 0).a, SQ_CAUSE_RESET);
	relay_end(&relay);
	end();
}
