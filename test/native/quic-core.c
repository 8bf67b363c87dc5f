/*
 * The transport as native/quic/quic.h promises it, between engines in one process over the loopback.
 * Arguments: the folder of certificates that test/support/native-quic.ts makes; a case, or all.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core-cases.h"

struct node *client, *server;
struct sq_profile *client_profile, *server_profile;
struct sockaddr_in address;
int client_endpoint, server_endpoint;

/* Two engines, one that listens; settings are pairs of setting and value, for both, -1 at the end. */
void begin(const double *settings)
{
	client_profile = profile_client();
	server_profile = profile_server("server");
	sq_profile_set(server_profile, SQ_SET_REJECT_LOW_PORTS, 0);
	for (; settings && settings[0] >= 0; settings += 2) {
		sq_profile_set(client_profile, (int)settings[0], settings[1]);
		sq_profile_set(server_profile, (int)settings[0], settings[1]);
	}
	client = node_new(0, 0, 4096);
	server = node_new(1, 0, 4096);
	address = (struct sockaddr_in){ 0 };
	server_endpoint = node_listen(server, server_profile, &address);
	client_endpoint = node_client(client);
}

void end(void)
{
	for (int i = 2; i < server->fd_count; i++)
		close(server->fds[i].fd);
	world_end();
	sq_profile_free(client_profile);
	sq_profile_free(server_profile);
}

void pair(uint32_t *at_client, uint32_t *at_server)
{
	join(client, client_endpoint, client_profile, server, &address, at_client, at_server);
}

/* A stream of the client that the server knows. */
void open_pair(uint32_t connection, int is_uni, uint32_t *mine, uint32_t *theirs)
{
	*mine = (uint32_t)sq_stream_open(client->engine, connection, is_uni);
	*theirs = wait_event(server, SQ_EV_STREAM, 0, 0).stream;
}

/* Closes from the client's side and waits until both have let go. */
void part(uint32_t at_client, uint32_t at_server)
{
	sq_conn_close(client->engine, at_client, 0, 0, 0, "", 0);
	wait_event(client, SQ_EV_RELEASED, at_client, 0);
	wait_event(server, SQ_EV_RELEASED, at_server, 0);
	EXPECT(sq_conn_free(client->engine, at_client) == 0);
	EXPECT(sq_conn_free(server->engine, at_server) == 0);
	EXPECT(sq_conn_free(server->engine, at_server) == SQ_GONE);
	EXPECT_NUMBER(sq_chunks_used(client->engine), 0);
	EXPECT_NUMBER(sq_chunks_used(server->engine), 0);
}

#define CASE(name) { name, #name }

int main(int argc, char **argv)
{
	static const struct {
		void (*run)(void);
		const char *name;
	} cases[] = {
		CASE(bytes_and_ends_pass_both_ways),
		CASE(unidirectional_streams_go_one_way),
		CASE(four_ends_of_a_stream_are_told_apart),
		CASE(credit_is_given_for_what_was_consumed),
		CASE(abandoned_streams_give_their_credit_back),
		CASE(the_connection_window_stops_all_streams),
		CASE(streams_are_limited),
		CASE(many_streams_are_echoed),
		CASE(released_streams_are_still_delivered),
		CASE(datagrams_pass_and_are_bounded),
		CASE(causes_are_told_apart),
		CASE(silence_ends_a_connection),
		CASE(nobody_listens),
		CASE(an_end_that_meets_another_is_one),
		CASE(a_successor_resets_what_it_does_not_know),
		CASE(another_host_resets_nothing),
		CASE(clients_prove_their_address),
		CASE(tokens_tell_the_time_of_day),
		CASE(connections_are_limited),
		CASE(garbage_is_counted_and_nothing_else),
		CASE(packets_reach_their_worker),
		CASE(answers_come_from_the_address_that_was_asked),
		CASE(the_kernel_finds_the_worker),
		CASE(processes_share_a_port),
		CASE(a_closed_endpoint_keeps_nothing),
		CASE(errors_end_one_connection_only),
		CASE(allocations_may_fail),
		CASE(growth_is_told_once),
		CASE(texts_and_addresses_are_known),
		CASE(early_data_is_told_as_such),
		CASE(the_arena_is_a_bound),
		CASE(memory_of_a_crowd_is_given_back),
		CASE(many_who_hold_little_pay_together),
		CASE(a_shared_connection_is_nobodys_bound),
	};

	if (argc < 2) {
		fprintf(stderr, "usage: quic-core FOLDER [CASE]\n");
		return 2;
	}
	if (strcmp(argv[1], "--old") == 0)
		return be_the_old_process(argc > 2 ? argv[2] : "0");
	world.folder = argv[1];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int before = failures;

		if (argc > 2 && strcmp(argv[2], cases[i].name) != 0)
			continue;
		cases[i].run();
		printf("%s %s\n", failures == before ? "ok" : "FAILED", cases[i].name);
		fflush(stdout);
	}
	return failures ? 1 : 0;
}
