/* What the cases of quic-core.c share: a client and a server, and the cases themselves. */
#ifndef SLUICE_TEST_CORE_CASES_H
#define SLUICE_TEST_CORE_CASES_H

#include "core-world.h"

extern struct node *client, *server;
extern struct sq_profile *client_profile, *server_profile;
extern struct sockaddr_in address;
extern int client_endpoint, server_endpoint;

/* Two engines, one that listens; settings are pairs of setting and value, for both, -1 at the end. */
void begin(const double *settings);
void end(void);
/* Both ends of a new connection. */
void pair(uint32_t *at_client, uint32_t *at_server);
/* A stream of the client that the server knows. */
void open_pair(uint32_t connection, int is_uni, uint32_t *mine, uint32_t *theirs);
/* Closes from the client's side and waits until both have let go; no chunk is left. */
void part(uint32_t at_client, uint32_t at_server);
int be_the_old_process(const char *port);

/* core-streams.c */
void bytes_and_ends_pass_both_ways(void);
void unidirectional_streams_go_one_way(void);
void four_ends_of_a_stream_are_told_apart(void);
void credit_is_given_for_what_was_consumed(void);
void abandoned_streams_give_their_credit_back(void);
void the_connection_window_stops_all_streams(void);
void streams_are_limited(void);
void many_streams_are_echoed(void);
void released_streams_are_still_delivered(void);
void datagrams_pass_and_are_bounded(void);

/* core-connections.c */
void causes_are_told_apart(void);
void silence_ends_a_connection(void);
void nobody_listens(void);
void an_end_that_meets_another_is_one(void);
void a_successor_resets_what_it_does_not_know(void);
void another_host_resets_nothing(void);
void clients_prove_their_address(void);
void tokens_tell_the_time_of_day(void);
void connections_are_limited(void);
void garbage_is_counted_and_nothing_else(void);
void a_closed_endpoint_keeps_nothing(void);
void errors_end_one_connection_only(void);
void allocations_may_fail(void);
void growth_is_told_once(void);
void texts_and_addresses_are_known(void);
void early_data_is_told_as_such(void);

/* core-memory.c */
void the_arena_is_a_bound(void);
void memory_of_a_crowd_is_given_back(void);
void many_who_hold_little_pay_together(void);
void a_shared_connection_is_nobodys_bound(void);

/* core-routing.c */
void packets_reach_their_worker(void);
void answers_come_from_the_address_that_was_asked(void);
void the_kernel_finds_the_worker(void);
void processes_share_a_port(void);

#endif
