/*
 * TLS as native/quic/tls.h promises it, between a client and a server in memory. Argument: the
 * folder of certificates that test/support/native-quic.ts makes. Runs with either TLS library.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls-pair.h"

#define ALERT(code) (0x100 + (code))
#define ALPN "\3doq\2h3"

static const uint8_t secret[32] = "a secret that all workers share";

/* GnuTLS shows one alert for most faults of certificates, and its tickets die with the limits. */
static int is_openssl(void)
{
	return strncmp(sq_tls_version(), "OpenSSL", 7) == 0;
}

/* ---- contexts ---- */

static void certify(struct sq_tls_context *context, const char *name)
{
	char file[64];
	const char *chain, *key;
	int chain_bytes, key_bytes;

	snprintf(file, sizeof(file), "%s.crt", name);
	chain = read_pem(file, &chain_bytes);
	snprintf(file, sizeof(file), "%s.key", name);
	key = read_pem(file, &key_bytes);
	if (sq_tls_context_certificate(context, chain, chain_bytes, key, key_bytes) != 0)
		EXPECT_TEXT(sq_tls_error(), "");
}

static void trust(struct sq_tls_context *context, const char *name)
{
	int bytes;
	const char *pem = read_pem(name, &bytes);

	EXPECT(sq_tls_context_authorities(context, pem, bytes) == 0);
}

/* server, *.wild.test (RSA), second.test */
static struct sq_tls_context *new_server(void)
{
	struct sq_tls_context *context = sq_tls_context_new(1);

	certify(context, "server");
	certify(context, "wild");
	certify(context, "second");
	sq_tls_context_alpn(context, (const uint8_t *)ALPN, (int)strlen(ALPN));
	sq_tls_context_secret(context, secret);
	return context;
}

static struct sq_tls_context *new_client(void)
{
	struct sq_tls_context *context = sq_tls_context_new(0);

	trust(context, "authority.crt");
	sq_tls_context_verify(context, 2);
	sq_tls_context_alpn(context, (const uint8_t *)ALPN, (int)strlen(ALPN));
	return context;
}

static void drop(struct sq_tls_context *client, struct sq_tls_context *server)
{
	sq_tls_context_drop(client);
	sq_tls_context_drop(server);
}

/* Runs a pair to its end: 1 = both are done. */
static int run(struct pair *pair, struct sq_tls_context *client, struct sq_tls_context *server,
               const struct wish *wish)
{
	if (!pair_start(pair, client, server, wish))
		return 0;
	pair_run(pair);
	return pair->client.is_done && pair->server.is_done && !pair->client.is_dead &&
	       !pair->server.is_dead;
}

/* ---- cases ---- */

static void names_choose_certificates(void)
{
	static const struct {
		const char *sni, *subject, *key;
	} cases[] = {
		{ "server.test", "/CN=server.test", "EC256" },
		{ "SECOND.test", "/C=XX/O=Second \\x22Ltd\\x22/CN=second.test", "EC384" },
		{ "a.wild.test", "/CN=wild", "RSA2048" },
		{ "a.b.wild.test", "/CN=server.test", "EC256" },
		{ "wild.test", "/CN=server.test", "EC256" },
		{ "unknown.test", "/CN=server.test", "EC256" },
		{ NULL, "/CN=server.test", "EC256" },
	};
	struct sq_tls_context *server = new_server();
	struct sq_tls_context *client = new_client();
	struct pair pair = { 0 };
	size_t i;

	sq_tls_context_verify(client, 0);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		EXPECT(run(&pair, client, server, &(struct wish){ .sni = cases[i].sni }));
		EXPECT_TEXT(end_text(&pair.client, SQ_TEXT_SUBJECT), cases[i].subject);
		EXPECT_TEXT(end_text(&pair.client, SQ_TEXT_KEY), cases[i].key);
		EXPECT_TEXT(end_text(&pair.server, SQ_TEXT_KEY), cases[i].key);
		EXPECT_TEXT(end_text(&pair.server, SQ_TEXT_SNI), cases[i].sni ? cases[i].sni : "");
		EXPECT((sq_tls_flags(pair.client.tls) & (16 | 32)) == 16);
		pair_free(&pair);
	}
	drop(client, server);
}

static void a_strict_server_refuses_names(void)
{
	static const char *const refused[] = { "unknown.test", "a.b.wild.test", NULL };
	struct sq_tls_context *server = new_server();
	struct sq_tls_context *client = new_client();
	struct pair pair = { 0 };
	size_t i;

	sq_tls_context_verify(client, 0);
	sq_tls_context_strict_sni(server, 1);
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		EXPECT(!run(&pair, client, server, &(struct wish){ .sni = refused[i] }));
		EXPECT(pair.server.own_code == ALERT(112));
		EXPECT(pair.client.peer_code == ALERT(112));
		EXPECT(sq_tls_alert(pair.server.tls) == 112);
		EXPECT(strncmp(end_text(&pair.server, SQ_TEXT_FAILURE), "unrecognized name", 17) == 0);
		pair_free(&pair);
	}
	EXPECT(run(&pair, client, server, &(struct wish){ .sni = "x.wild.test" }));
	pair_free(&pair);
	drop(client, server);
}

static void the_server_prefers_its_protocols(void)
{
	static const struct {
		const char *offered, *chosen;
	} cases[] = {
		{ "\2h3\3doq", "doq" }, { "\2xx\2h3", "h3" }, { "\3doq", "doq" }, { "\2xx", NULL },
	};
	struct sq_tls_context *server = new_server();
	struct sq_tls_context *client = new_client();
	struct pair pair = { 0 };
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int is_done = run(&pair, client, server,
		                  &(struct wish){ .sni = "server.test", .alpn = cases[i].offered });

		EXPECT(is_done == (cases[i].chosen != NULL));
		if (is_done) {
			EXPECT_TEXT(end_text(&pair.server, SQ_TEXT_ALPN), cases[i].chosen);
			EXPECT_TEXT(end_text(&pair.client, SQ_TEXT_ALPN), cases[i].chosen);
		} else {
			EXPECT(pair.client.peer_code == ALERT(120));
		}
		pair_free(&pair);
	}
	/* A client that offers none is refused, by a server with a list and by one without. */
	sq_tls_context_alpn(client, NULL, 0);
	EXPECT(!run(&pair, client, server, &(struct wish){ .sni = "server.test" }));
	EXPECT(pair.client.peer_code == ALERT(120));
	pair_free(&pair);
	sq_tls_context_alpn(server, NULL, 0);
	EXPECT(!run(&pair, client, server, &(struct wish){ .sni = "server.test" }));
	pair_free(&pair);
	/* Without a list: what the client likes best. */
	EXPECT(run(&pair, client, server, &(struct wish){ .sni = "server.test", .alpn = "\2xx\2h3" }));
	EXPECT_TEXT(end_text(&pair.server, SQ_TEXT_ALPN), "xx");
	pair_free(&pair);
	drop(client, server);
}

static void clients_verify_servers(void)
{
	static const struct {
		const char *certificate, *authority, *sni, *verify_name;
		int alerts[2]; /* 0 = accepted */
	} cases[] = {
		{ "server", "authority.crt", "server.test", NULL, { 0 } },
		{ "server", "authority.crt", "127.0.0.1", NULL, { 0 } },
		{ "server", "authority.crt", "elsewhere.test", "server.test", { 0 } },
		{ "server", "authority.crt", NULL, "::1", { 0 } },
		{ "server", "authority.crt", NULL, NULL, { 0 } },
		{ "chained", "authority.crt", "chained.test", NULL, { 0 } },
		{ "stranger", "stranger.crt", "server.test", NULL, { 0 } },
		{ "server", "authority.crt", "other.test", NULL, { 42 } },
		{ "server", "authority.crt", "server.test", "other.test", { 42 } },
		{ "server", "authority.crt", "127.0.0.2", NULL, { 42 } },
		{ "server", "other-authority.crt", "server.test", NULL, { 48, 42 } },
		{ "stranger", "authority.crt", "server.test", NULL, { 48, 42 } },
		{ "expired", "authority.crt", "server.test", NULL, { 45, 42 } },
		{ "client", "authority.crt", NULL, NULL, { 43, 42 } },
	};
	struct pair pair = { 0 };
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sq_tls_context *server = sq_tls_context_new(1);
		struct sq_tls_context *client = sq_tls_context_new(0);
		int before = failures;

		certify(server, cases[i].certificate);
		trust(client, cases[i].authority);
		sq_tls_context_verify(client, 2);
		if (run(&pair, client, server,
		        &(struct wish){ cases[i].sni, cases[i].verify_name, "\2h3", NULL, 0, NULL })) {
			EXPECT(cases[i].alerts[0] == 0);
			EXPECT((sq_tls_flags(pair.client.tls) & (16 | 32)) == (16 | 32));
		} else {
			EXPECT(cases[i].alerts[0] == sq_tls_alert(pair.client.tls) ||
			       cases[i].alerts[1] == sq_tls_alert(pair.client.tls));
			EXPECT(pair.server.peer_code == (uint64_t)ALERT(sq_tls_alert(pair.client.tls)));
			EXPECT(!pair.server.is_done);
			EXPECT(strchr(end_text(&pair.client, SQ_TEXT_FAILURE), ':') != NULL);
		}
		if (failures > before)
			printf("  in case %d: %s\n", (int)i, end_text(&pair.client, SQ_TEXT_FAILURE));
		pair_free(&pair);
		drop(client, server);
	}
}

static void servers_verify_clients(void)
{
	static const struct {
		int mode;
		const char *certificate;
		int alerts[2];
		int flags;
	} cases[] = {
		{ 0, "client", { 0 }, 0 },
		{ 1, NULL, { 0 }, 0 },
		{ 1, "client", { 0 }, 16 | 32 },
		{ 1, "stranger", { 48, 42 }, 0 },
		{ 2, NULL, { 116 }, 0 },
		{ 2, "client", { 0 }, 16 | 32 },
		{ 2, "stranger", { 48, 42 }, 0 },
		{ 2, "expired", { 45, 42 }, 0 },
	};
	struct pair pair = { 0 };
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sq_tls_context *server = new_server();
		struct sq_tls_context *client = new_client();
		int before = failures;

		sq_tls_context_verify(server, cases[i].mode);
		trust(server, "authority.crt");
		if (cases[i].certificate)
			certify(client, cases[i].certificate);
		if (run(&pair, client, server, &(struct wish){ .sni = "server.test" })) {
			EXPECT(cases[i].alerts[0] == 0);
			EXPECT((sq_tls_flags(pair.server.tls) & (16 | 32)) == cases[i].flags);
			EXPECT(sq_tls_is_satisfied(pair.server.tls));
			if (cases[i].flags) {
				EXPECT_TEXT(end_text(&pair.server, SQ_TEXT_SUBJECT),
				            "/O=sluice/CN=client one");
				EXPECT_TEXT(end_text(&pair.server, SQ_TEXT_COMMON_NAME), "client one");
			}
		} else {
			/* The client has thought that it was done; the server never. */
			EXPECT(!pair.server.is_done);
			EXPECT(!sq_tls_is_satisfied(pair.server.tls));
			EXPECT(sq_tls_alert(pair.server.tls) == cases[i].alerts[0] ||
			       sq_tls_alert(pair.server.tls) == cases[i].alerts[1]);
			EXPECT(pair.client.peer_code == (uint64_t)ALERT(sq_tls_alert(pair.server.tls)));
		}
		if (failures > before)
			printf("  in case %d: %s\n", (int)i, end_text(&pair.server, SQ_TEXT_FAILURE));
		pair_free(&pair);
		drop(client, server);
	}
}

/* ---- tickets ---- */

static uint8_t ticket[16384];
static int ticket_bytes;

/* A first connection that leaves its ticket. */
static void earn_ticket(struct sq_tls_context *client, struct sq_tls_context *server)
{
	struct pair pair = { 0 };

	EXPECT(run(&pair, client, server, &(struct wish){ .sni = "server.test" }));
	ticket_bytes = sq_tls_ticket(pair.client.tls, pair.client.conn, ticket, sizeof(ticket));
	EXPECT(ticket_bytes > 0);
	EXPECT(sq_tls_ticket(pair.client.tls, pair.client.conn, ticket + ticket_bytes,
	                     (int)sizeof(ticket) - ticket_bytes) == 0);
	EXPECT(!(sq_tls_flags(pair.client.tls) & 4));
	pair_free(&pair);
}

static int resumes(struct sq_tls_context *client, struct sq_tls_context *server, const char *sni)
{
	struct pair pair = { 0 };
	int is_resumed;

	EXPECT(run(&pair, client, server,
	           &(struct wish){ .sni = sni, .ticket = ticket, .ticket_bytes = ticket_bytes }));
	is_resumed = sq_tls_flags(pair.client.tls) & 4;
	EXPECT((sq_tls_flags(pair.server.tls) & 4) == is_resumed);
	EXPECT(sq_tls_is_satisfied(pair.server.tls));
	EXPECT(strcmp(end_text(&pair.server, SQ_TEXT_KEY), "") != 0);
	pair_free(&pair);
	return is_resumed != 0;
}

static void all_workers_read_tickets(void)
{
	static const uint8_t other_secret[32] = "another process";
	struct sq_tls_context *server = new_server();
	struct sq_tls_context *worker = new_server();
	struct sq_tls_context *stranger = new_server();
	struct sq_tls_context *changed = new_server();
	struct sq_tls_context *client = new_client();
	struct sq_tls_context *distrustful = new_client();

	sq_tls_context_secret(stranger, other_secret);
	trust(changed, "other-authority.crt");
	sq_tls_context_verify(changed, 1);
	trust(distrustful, "other-authority.crt");
	earn_ticket(client, server);
	EXPECT(resumes(client, server, "server.test"));
	EXPECT(resumes(client, worker, "server.test"));
	EXPECT(!resumes(client, stranger, "server.test"));
	/* Another bind line, with authorities of its own, does not take it. */
	EXPECT(!resumes(client, changed, "server.test"));
	/* What was verified by other authorities or for another name is verified anew. */
	EXPECT(!resumes(distrustful, server, "server.test"));
	EXPECT(!resumes(client, server, "localhost"));
	/* Broken ones are ignored. */
	ticket[ticket_bytes / 2] ^= 1;
	resumes(client, server, "server.test");
	ticket_bytes = 20;
	EXPECT(!resumes(client, server, "server.test"));
	drop(client, server);
	drop(distrustful, worker);
	drop(stranger, changed);
}

static void a_resumed_client_is_still_known(void)
{
	struct sq_tls_context *server = new_server();
	struct sq_tls_context *client = new_client();
	struct pair pair = { 0 };

	sq_tls_context_verify(server, 2);
	trust(server, "authority.crt");
	certify(client, "client");
	earn_ticket(client, server);
	EXPECT(run(&pair, client, server, &(struct wish){ .sni = "server.test", .ticket = ticket,
	                                                  .ticket_bytes = ticket_bytes }));
	EXPECT(sq_tls_flags(pair.server.tls) == (4 | 16 | 32));
	EXPECT_TEXT(end_text(&pair.server, SQ_TEXT_COMMON_NAME), "client one");
	pair_free(&pair);
	drop(client, server);
}

/* ---- early data ---- */

static struct pair early_pair;

/* Bytes that arrived early; all must arrive once, early or late. */
static int sends_early(struct sq_tls_context *client, struct sq_tls_context *server,
                       uint64_t window)
{
	struct pair *pair = &early_pair;
	int early;

	memset(pair, 0, sizeof(*pair));
	pair->window = window;
	EXPECT(run(pair, client, server,
	           &(struct wish){ .sni = "server.test", .ticket = ticket,
	                           .ticket_bytes = ticket_bytes, .early = "early" }));
	early = pair->server.early_bytes;
	EXPECT((sq_tls_flags(pair->client.tls) & 8) == (early ? 8 : 0));
	EXPECT((sq_tls_flags(pair->server.tls) & 8) == (early ? 8 : 0));
	EXPECT(pair->client.early_rejected == (pair->client.early_bytes && !early));
	pair_send(pair, "later");
	EXPECT(pair->server.bytes == early + 5);
	return early;
}

static void early_data_is_taken_once(void)
{
	struct sq_tls_context *server = new_server();
	struct sq_tls_context *unwilling = new_server();
	struct sq_tls_context *client = new_client();
	struct pair again;

	sq_tls_context_early(server, 1);
	sq_tls_context_early(client, 1);
	earn_ticket(client, server);
	EXPECT(sends_early(client, server, 65536) == 5);
	/* The same packets again, as from the wire: no byte of them counts. */
	pair_replay(&again, server, &early_pair);
	EXPECT(again.server.conn != NULL);
	EXPECT(again.server.early_bytes == 0);
	pair_free(&again);
	pair_free(&early_pair);
	/* A server that has come to offer less takes none; one that offers more may. */
	EXPECT(sends_early(client, server, 1024) == 0);
	pair_free(&early_pair);
	EXPECT(sends_early(client, server, 70000) == (is_openssl() ? 5 : 0));
	pair_free(&early_pair);
	EXPECT(sends_early(client, unwilling, 65536) == 0);
	pair_free(&early_pair);
	/* A client that may not, does not. */
	sq_tls_context_early(client, 0);
	EXPECT(sends_early(client, server, 65536) == 0);
	EXPECT(early_pair.client.early_bytes == 0);
	pair_free(&early_pair);
	drop(client, server);
	sq_tls_context_drop(unwilling);
}

/* ---- errors in words ---- */

static void errors_say_what_is_wrong(void)
{
	static const struct {
		const char *chain, *key, *text;
	} cases[] = {
		{ "server.crt", "second.key", "the key does not belong to the certificate" },
		{ "server.key", "server.key", "no certificate in PEM" },
		{ "server.crt", "server.crt", "no private key in PEM" },
		{ "server.crt", "locked.key", "the key is protected by a pass phrase" },
		{ "broken.crt", "server.key", "certificate 1 in PEM is broken" },
		{ "half.crt", "server.key", "certificate 2 in PEM is broken" },
		{ "server.crt", "broken.key", "the private key in PEM is broken" },
		{ "empty.crt", "server.key", "no certificate in PEM" },
	};
	struct sq_tls_context *context = sq_tls_context_new(1);
	int chain_bytes, key_bytes;
	const char *chain, *key;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		chain = read_pem(cases[i].chain, &chain_bytes);
		key = read_pem(cases[i].key, &key_bytes);
		EXPECT(sq_tls_context_certificate(context, chain, chain_bytes, key, key_bytes) ==
		       SQ_TLS);
		EXPECT(strncmp(sq_tls_error(), cases[i].text, strlen(cases[i].text)) == 0);
		if (strncmp(sq_tls_error(), cases[i].text, strlen(cases[i].text)) != 0)
			printf("  case %d: %s\n", (int)i, sq_tls_error());
	}
	chain = read_pem("empty.crt", &chain_bytes);
	EXPECT(sq_tls_context_authorities(context, "none", 4) == SQ_TLS);
	EXPECT(strncmp(sq_tls_error(), "no certificate in PEM", 21) == 0);
	EXPECT(sq_tls_context_alpn(context, (const uint8_t *)"\4abc", 4) == SQ_TLS);
	EXPECT_TEXT(sq_tls_error(), "the list of protocols is broken");
	/* Certificate and key in one file, in either order. */
	chain = read_pem("server.pem", &chain_bytes);
	EXPECT(sq_tls_context_certificate(context, chain, chain_bytes, NULL, 0) == 0);
	chain = read_pem("key-first.pem", &chain_bytes);
	EXPECT(sq_tls_context_certificate(context, chain, chain_bytes, NULL, 0) == 0);
	sq_tls_context_drop(context);
}

static void facts_are_told(void)
{
	struct sq_tls_context *server = new_server();
	struct sq_tls_context *client = new_client();
	struct pair pair = { 0 };
	char cut[4];
	int which;

	/* Before there is anything to tell: OpenSSL fell over a session that was not there. */
	EXPECT(pair_start(&pair, client, server, NULL));
	for (which = 0; which < SQ_TEXT_COUNT; which++)
		EXPECT_TEXT(end_text(&pair.client, which), "");
	EXPECT(sq_tls_flags(pair.client.tls) == 0);
	pair_free(&pair);
	EXPECT(run(&pair, client, server, &(struct wish){ .sni = "server.test" }));
	EXPECT_TEXT(end_text(&pair.client, SQ_TEXT_CIPHER), "TLS_AES_128_GCM_SHA256");
	EXPECT_TEXT(end_text(&pair.server, SQ_TEXT_CIPHER), "TLS_AES_128_GCM_SHA256");
	EXPECT(strncmp(end_text(&pair.client, SQ_TEXT_GROUP), "X25519", 6) == 0);
	EXPECT_TEXT(end_text(&pair.server, SQ_TEXT_SIGNATURE), "ecdsa-with-SHA256");
	EXPECT_TEXT(end_text(&pair.client, SQ_TEXT_SIGNATURE), "ecdsa-with-SHA256");
	EXPECT_TEXT(end_text(&pair.client, SQ_TEXT_FAILURE), "");
	EXPECT(sq_tls_text(pair.client.tls, SQ_TEXT_SUBJECT, cut, sizeof(cut)) == 15);
	EXPECT(memcmp(cut, "/CN=", 4) == 0);
	pair_free(&pair);
	drop(client, server);
	EXPECT(strlen(sq_tls_version()) > 8);
	/* A name longer than names are. */
	{
		char name[300];
		struct wish wish = { .sni = name };

		client = new_client();
		server = new_server();
		memset(name, 'a', sizeof(name) - 1);
		name[sizeof(name) - 1] = 0;
		EXPECT(!pair_start(&pair, client, server, &wish));
		EXPECT_TEXT(sq_tls_error(), "the server's name is too long");
		pair_free(&pair);
		drop(client, server);
	}
}

static void the_system_has_authorities(void)
{
	struct sq_tls_context *server = new_server();
	struct sq_tls_context *client = sq_tls_context_new(0);
	struct pair pair = { 0 };

	sq_tls_context_verify(client, 2);
	if (sq_tls_context_authorities(client, NULL, 0) != 0) {
		EXPECT(strstr(sq_tls_error(), "ca-certificates") != NULL);
	} else {
		/* None of the world's authorities knows our server. */
		EXPECT(!run(&pair, client, server, &(struct wish){ "server.test", NULL, "\2h3", NULL,
		                                                   0, NULL }));
		EXPECT(sq_tls_alert(pair.client.tls) == 48 || sq_tls_alert(pair.client.tls) == 42);
		pair_free(&pair);
	}
	drop(client, server);
}

int main(int argc, char **argv)
{
	if (argc < 2 || sq_tls_start() != 0) {
		fprintf(stderr, "usage: quic-tls FOLDER\n");
		return 2;
	}
	pem_folder = argv[1];
	names_choose_certificates();
	a_strict_server_refuses_names();
	the_server_prefers_its_protocols();
	clients_verify_servers();
	servers_verify_clients();
	all_workers_read_tickets();
	a_resumed_client_is_still_known();
	early_data_is_taken_once();
	errors_say_what_is_wrong();
	facts_are_told();
	the_system_has_authorities();
	printf("%s: %d failures\n", sq_tls_version(), failures);
	return failures ? 1 : 0;
}
