/*
 * What callers are told: connections and streams keep bits of what happened, and stand in line once.
 * A batch takes them in order, each kind of event of a stream at most once; where it ends for want of
 * room, the next goes on.
 */
#include "internal.h"

void sq_tell(struct sq_connection *connection, int events)
{
	connection->events |= (uint16_t)events;
	sq_link_append(&connection->engine->telling, &connection->telling);
}

void sq_tell_stream(struct sq_stream *stream, int events)
{
	struct sq_connection *connection = stream->connection;

	if (stream->is_released)
		return;
	stream->events |= (uint8_t)events;
	sq_link_append(&connection->stream_telling, &stream->telling);
	sq_link_append(&connection->engine->telling, &connection->telling);
}

struct teller {
	struct sq_engine *engine;
	struct sq_connection *connection;
	int count;
	int is_full;
};

/* The next event, if `bit` is among the bits and there is room; the bit goes then. */
static struct sq_event *take_event(struct teller *teller, uint32_t bits, uint32_t bit,
                                   uint32_t type, uint32_t stream)
{
	struct sq_event *event;

	if (!(bits & bit))
		return NULL;
	if (teller->count >= teller->engine->event_room) {
		teller->is_full = 1;
		return NULL;
	}
	event = &teller->engine->events[teller->count++];
	*event = (struct sq_event){ .type = type, .stream = stream };
	if (teller->connection) {
		event->connection = teller->connection->handle;
		if (!stream)
			teller->connection->events &= (uint16_t)~bit;
	}
	return event;
}

static void put_code(struct sq_event *event, uint64_t code)
{
	event->lo = (uint32_t)code;
	event->hi = (uint32_t)(code >> 32);
}

static struct sq_event *take_stream_event(struct teller *teller, struct sq_stream *stream,
                                          uint32_t bit, uint32_t type)
{
	struct sq_event *event = take_event(teller, stream->events, bit, type, stream->handle);

	if (event)
		stream->events &= (uint8_t)~bit;
	return event;
}

static void tell_of_stream(struct teller *teller, struct sq_stream *stream)
{
	struct sq_event *event;

	event = take_stream_event(teller, stream, SQ_TOLD_STREAM, SQ_EV_STREAM);
	if (event) {
		put_code(event, (uint64_t)stream->id);
		event->a = (stream->is_uni ? SQ_STREAM_UNI : 0) |
		           (stream->is_early ? SQ_STREAM_EARLY : 0);
	}
	take_stream_event(teller, stream, SQ_TOLD_DATA, SQ_EV_DATA);
	event = take_stream_event(teller, stream, SQ_TOLD_RESET, SQ_EV_RESET);
	if (event)
		put_code(event, stream->reset_code);
	event = take_stream_event(teller, stream, SQ_TOLD_STOP, SQ_EV_STOP);
	if (event)
		put_code(event, stream->stop_code);
	take_stream_event(teller, stream, SQ_TOLD_WRITABLE, SQ_EV_WRITABLE);
}

/* What comes after the streams' own events. */
static void tell_the_rest(struct teller *teller, struct sq_connection *connection)
{
	uint32_t bits = connection->events;
	uint32_t credit = SQ_TOLD_CREDIT_BIDI | SQ_TOLD_CREDIT_UNI;
	struct sq_event *event;

	event = take_event(teller, bits, credit, SQ_EV_CREDIT, 0);
	if (event)
		event->a = (bits & SQ_TOLD_CREDIT_BIDI ? 1 : 0) | (bits & SQ_TOLD_CREDIT_UNI ? 2 : 0);
	take_event(teller, bits, SQ_TOLD_DATAGRAM, SQ_EV_DATAGRAM, 0);
	take_event(teller, bits, SQ_TOLD_MIGRATED, SQ_EV_MIGRATED, 0);
	take_event(teller, bits, SQ_TOLD_TICKET, SQ_EV_TICKET, 0);
	event = take_event(teller, bits, SQ_TOLD_CLOSED, SQ_EV_CLOSED, 0);
	if (event) {
		event->a = connection->cause;
		put_code(event, connection->code);
		event->b = connection->was_established;
		event->c = (uint32_t)connection->reason_bytes;
		sq_link_append(&teller->engine->dying, &connection->dying);
	}
	take_event(teller, bits, SQ_TOLD_RELEASED, SQ_EV_RELEASED, 0);
}

static void tell_of_connection(struct teller *teller, struct sq_connection *connection)
{
	struct sq_event *event;

	teller->connection = connection;
	event = take_event(teller, connection->events, SQ_TOLD_ACCEPTED, SQ_EV_ACCEPTED, 0);
	if (event) {
		event->a = (uint32_t)connection->endpoint->index;
		event->b = connection->is_early;
	}
	event = take_event(teller, connection->events, SQ_TOLD_CONNECTED, SQ_EV_CONNECTED, 0);
	if (event)
		event->b = (sq_conn_flags(teller->engine, connection->handle) & 4) != 0;
	while (!teller->is_full && !sq_link_is_empty(&connection->stream_telling)) {
		struct sq_link *link = connection->stream_telling.next;

		tell_of_stream(teller, sq_container(link, struct sq_stream, telling));
		if (!teller->is_full)
			sq_link_remove(link);
	}
	if (!teller->is_full)
		tell_the_rest(teller, connection);
}

static void tell_trouble(struct teller *teller)
{
	struct sq_engine *engine = teller->engine;

	teller->connection = NULL;
	for (int i = 0; i < engine->endpoint_count; i++) {
		struct sq_endpoint *endpoint = engine->endpoints[i];
		struct sq_event *event;

		if (!endpoint || !endpoint->trouble)
			continue;
		if (endpoint->told_trouble + 1000 * MILLIS <= engine->now) {
			event = take_event(teller, 1, 1, SQ_EV_TROUBLE, 0);
			if (!event)
				return;
			event->a = (uint32_t)i;
			event->b = (uint32_t)endpoint->trouble;
			endpoint->told_trouble = engine->now;
		}
		endpoint->trouble = 0;
	}
}

/* Streams of a connection that was told as closed die here, so that what came before its end could
 * be read when it was told. */
int sq_events(struct sq_engine *engine)
{
	struct teller teller = { .engine = engine };

	while (!sq_link_is_empty(&engine->dying)) {
		struct sq_link *link = engine->dying.next;

		sq_link_remove(link);
		sq_connection_kill_streams(sq_container(link, struct sq_connection, dying));
	}
	if (!sq_link_is_empty(&engine->starved))
		sq_starved_feed(engine);
	while (!sq_link_is_empty(&engine->telling)) {
		struct sq_link *link = engine->telling.next;

		tell_of_connection(&teller, sq_container(link, struct sq_connection, telling));
		if (teller.is_full)
			return teller.count;
		sq_link_remove(link);
	}
	tell_trouble(&teller);
	return teller.count;
}
