/**
 * Deliberately broken copies of the production code, to prove that each invariant can fail. A
 * mutant is a piece of source in place of another; one whose piece is not found any more is an
 * error, so the table follows the code.
 */

export type Mutant = {
  name: string;
  /** Below src/. */
  file: string;
  find: string;
  replace: string;
  /** What must notice it: part of the message. */
  caughtBy: RegExp;
};

export const MUTANTS: readonly Mutant[] = [
  {
    name: "a slow start never ends",
    file: "control/slowstart.ts",
    find: "  if (elapsedMs >= slowstartMs) return 0;\n",
    replace: "  if (elapsedMs >= slowstartMs) return slowstartMs > 0 ? 99 : 0;\n",
    caughtBy: /a slow start ends in time/,
  },
  {
    name: "connection errors outlive a success",
    file: "data/connect/connect.ts",
    find: "  reportConnected(stream);\n",
    replace: "",
    caughtBy: /connection errors that are reported came in a row/,
  },
  {
    name: "served goes down before the stream is detached",
    file: "data/account/end.ts",
    find: "  closeSide(stream, isAbort);\n",
    replace:
      "  if (stream.isAttached) {\n" +
      "    const row = stream.server!.row;\n" +
      "    engine.deferGrant(leaveServer(engine.balance, stream.backend!.row, row));\n" +
      "  }\n" +
      "  closeSide(stream, isAbort);\n" +
      "  if (stream.isAttached) stream.server!.streamCount--, (stream.isAttached = false);\n",
    caughtBy: /served is not below the streams|never sees more connections/,
  },
  {
    name: "a slot is given on before its connection is closed",
    file: "data/account/end.ts",
    find: "  closeSide(stream, isAbort);\n",
    replace:
      "  if (stream.isAttached) leaveServerInOrder(stream);\n  closeSide(stream, isAbort);\n",
    caughtBy: /never sees more connections than its maxconn/,
  },
  {
    name: "a slot goes to the youngest waiter",
    file: "balance/slots.ts",
    find: "const any = lb.proxies[backendRow + PROXY_QUEUE_HEAD]!;",
    replace: "const any = lb.proxies[backendRow + PROXY_QUEUE_HEAD + 1]!;",
    caughtBy: /slots are granted in order of arrival/,
  },
  {
    name: "a freed slot is offered to nobody",
    file: "balance/choose.ts",
    find: "  settleServer(lb, backendRow, serverRow);\n  offerSlots(lb, backendRow, serverRow);\n",
    replace: "  settleServer(lb, backendRow, serverRow);\n",
    caughtBy: /nobody waits while a slot is free/,
  },
  {
    name: "the last slot is given out twice",
    file: "balance/place.ts",
    find: "return servers[serverRow + SERVER_SERVED]! < serverLimit(lb, backendRow, serverRow);",
    replace:
      "return servers[serverRow + SERVER_SERVED]! <= serverLimit(lb, backendRow, serverRow);",
    caughtBy: /never above maxconn|never sees more connections/,
  },
  {
    name: "an end overtakes bytes that were not taken",
    file: "conduit/tcp/tcp-conduit.ts",
    find: "    if (this.kept !== null || this.isHeld) {\n      this.hasEnded = true;",
    replace: "    if (this.isHeld) {\n      this.hasEnded = true;",
    caughtBy: /an end|end in order|went up|came down|bytes/,
  },
  {
    name: "an end is not passed on",
    file: "data/relay/relay.ts",
    find: "  if (conduit !== null) conduit.finish();",
    replace: "  if (conduit !== null) stream.finishSide = -1;",
    caughtBy: /every stream comes to its end/,
  },
  {
    name: "a writer is not woken when there is room again",
    file: "data/stream.ts",
    find: "    if (other !== null) other.resume();",
    replace: "    if (other !== null && other === this.back) other.resume();",
    caughtBy: /every stream comes to its end|every byte/,
  },
  {
    name: "bytes are counted as taken that were not",
    file: "data/relay/relay.ts",
    find: "  return taken;\n}\n\n/** Bytes that came from",
    replace: "  return length;\n}\n\n/** Bytes that came from",
    caughtBy: /bytes arrive in order|an end arrives only after all bytes/,
  },
  {
    name: "bytes go back to where they came from",
    file: "data/relay/relay.ts",
    find: "const other = side === FRONT ? BACK : FRONT;",
    replace: "const other = stream.bytesUp > 20 ? side : side === FRONT ? BACK : FRONT;",
    caughtBy: /bytes arrive in order|a client gets bytes|who aborted is named/,
  },
  {
    name: "an abort is passed on as an end",
    file: "data/relay/relay.ts",
    find: "CAUSE_CLIENT : CAUSE_SERVER, PHASE_DATA, true);",
    replace: "CAUSE_CLIENT : CAUSE_SERVER, PHASE_DATA, false);",
    caughtBy: /an abort is passed on as an abort/,
  },
  {
    name: "a client that leaves keeps its slot",
    file: "data/account/end.ts",
    find: "  if (stream.isAttached) leaveServerInOrder(stream);\n",
    replace:
      "  if (stream.isAttached && cause !== 0x43) leaveServerInOrder(stream);\n" +
      "  stream.isAttached = false;\n",
    caughtBy: /a server lists its own streams|share is what its streams hold|list/,
  },
  {
    name: "who leaves the queue keeps a slot that was granted",
    file: "data/account/end.ts",
    find: "    if (granted > 0) {",
    replace: "    if (granted < 0) {",
    caughtBy: /share is what its streams hold/,
  },
  {
    name: "a worker shuts down streams of others",
    file: "data/shutdown.ts",
    find: "  const meant = select(engine, selector);\n",
    replace:
      "  const seen = ((globalThis as { seen?: Set<Engine> }).seen ??= new Set<Engine>());\n" +
      "  const peers = [...seen.add(engine)].filter((one) => one.tables === engine.tables);\n" +
      "  const meant = peers.flatMap((one) => select(one, selector));\n",
    caughtBy: /only its owner touches a stream/,
  },
  {
    name: "a timer outlives its stream",
    file: "data/account/end.ts",
    find: "  engine.wheel.clear(stream.slot);\n  // The server's",
    replace: "  // The server's",
    caughtBy: /an ended stream has no timer|no timer of a freed stream/,
  },
  {
    name: "a queue timeout drops a slot that has just been granted",
    file: "data/connect/choose.ts",
    find: "  if (granted > 0) assigned(stream, granted);\n  else endStream",
    replace: "  endStream",
    caughtBy: /share is what its streams hold/,
  },
  {
    name: "room that came back wakes nobody",
    file: "data/accept/admission.ts",
    find: "Atomics.exchange(words, fullCell, 0) === 0) return;",
    replace: "Atomics.exchange(words, fullCell, 0) === 1) return;",
    caughtBy: /every client is accepted in the end|a stream leaves a record|every stream/,
  },
  {
    name: "a connection is not given back to the frontend",
    file: "data/accept/admission.ts",
    find: "CURRENT;\n  giveBack(engine, proxies, front,",
    replace: "CURRENT;\n  if (row < 0) giveBack(engine, proxies, front,",
    caughtBy: /a frontend counts its connections/,
  },
  {
    name: "a dead worker's slots are not given back",
    file: "balance/bury.ts",
    find: "  if (share === 0) return 0;",
    replace: "  if (share >= 0) return 0;",
    caughtBy: /share|served/,
  },
  {
    name: "a dead worker's waiters stay in the queue",
    file: "balance/bury.ts",
    find: "    if (isIts) dropEntry(lb, backendRow, entry);\n    else if",
    replace: "    if",
    caughtBy: /queue|entry|entries|zero|share is what its streams hold/,
  },
  {
    name: "a retry forgets its deadline",
    file: "data/connect/connect.ts",
    find: "  stream.setDeadline(cause === CAUSE_SERVER_TIMEOUT ? 1 : pause);",
    replace: "  stream.deadlineMs = engine.clock.nowMs() + pause;",
    caughtBy: /a deadline has a timer|every stream comes to its end/,
  },
  {
    name: "an error that a write met is forgotten",
    file: "conduit/loop/loop-conduit.ts",
    find: "    if (this.brokenCode < 0) this.breaks(closeCodeOfErrno(-taken));",
    replace: "",
    caughtBy: /an end arrives only after all bytes|an end in order needs both ends/,
  },
  {
    name: "the loop's conduit forgets that there is more to read",
    file: "conduit/loop/loop-conduit.ts",
    find: "if (count < room && !this.hasEndAhead) this.isReadable = false;",
    replace: "if (count < room) this.isReadable = false;",
    caughtBy: /every stream comes to its end/,
  },
  {
    name: "the wheel fires late",
    file: "base/wheel.ts",
    find: "    let at = Math.ceil(deadlineMs / TICK_MS);",
    replace: "    let at = Math.ceil(deadlineMs / TICK_MS) + 20;",
    caughtBy: /a timer is not late|the wheel is armed in time/,
  },
  {
    name: "an idle limit counts from the accept",
    file: "data/relay/relay.ts",
    find: "  if (side === FRONT) {\n    stream.lastFrontMs = now;\n    if (taken > 0 &&",
    replace: "  if (side === FRONT) {\n    if (taken > 1e9 &&",
    caughtBy: /a timeout is not early/,
  },
  {
    name: "a deleted server takes no reference on its backend",
    file: "control/life/servers.ts",
    find: `  const takeBack = purgeLater(grace, sequence, {
    purge: () => {
      purgeServer(control, server);
      references.give(reference);
`,
    replace: `  references.give(reference);
  const takeBack = purgeLater(grace, sequence, {
    purge: () => {
      purgeServer(control, server);
`,
    caughtBy: /no backend is removed while a deleted server of it is not purged/,
  },
  {
    name: "the purge of a server gives no reference back",
    file: "control/life/servers.ts",
    find: "      purgeServer(control, server);\n      references.give(reference);\n",
    replace: "      purgeServer(control, server);\n",
    caughtBy: /every reference is given back/,
  },
  {
    name: "a server's row is freed before all workers have forgotten it",
    file: "control/life/servers.ts",
    find: `  const takeBack = purgeLater(grace, sequence, {
    purge: () => {
      purgeServer(control, server);
`,
    replace: `  purgeServer(control, server);
  const takeBack = purgeLater(grace, sequence, {
    purge: () => {
`,
    caughtBy: /no worker knows a server whose row is freed/,
  },
  {
    name: "a server is chosen before all workers know it",
    file: "balance/tier.ts",
    find: " &&\n    (lb.servers[serverRow + SERVER_FLAGS]! & SERVER_FLAG_NEW) === 0",
    replace: "",
    caughtBy: /a chosen server is known to the worker/,
  },
  {
    name: "a server that is ejected is chosen all the same",
    file: "balance/tier.ts",
    find: " &&\n    (lb.servers[serverRow + SERVER_FLAGS]! & SERVER_FLAG_EJECTED) === 0",
    replace: "",
    caughtBy: /no server that is out can be chosen/,
  },
  {
    name: "nobody comes back when others go away",
    file: "control/outlier/desk.ts",
    find: 'this.#giveBack(watch, one, "needed")',
    replace: "void one",
    caughtBy: /no more servers are out than may be|one is always left/,
  },
  {
    name: "every piece of an answer counts as its first byte",
    file: "data/relay/relay.ts",
    find: "const isFirst = stream.bytesDown === 0 && taken > 0;",
    replace: "const isFirst = taken > 0;",
    caughtBy: /an attempt has one outcome/,
  },
  {
    name: "peak-ewma: a full server is drawn",
    file: "balance/peak-ewma.ts",
    find: "row === excludeRow || !hasRoom(lb, backendRow, row)",
    replace: "row === excludeRow",
    caughtBy: /never above maxconn|never sees more connections/,
  },
  {
    name: "QUIC: credit is given for bytes that were not taken",
    file: "conduit/quic/quic-conduit.ts",
    find: "if (taken > 0) transport.consume(this.stream, taken);",
    replace: "if (taken > 0) transport.consume(this.stream, length);",
    caughtBy: /bytes arrive in order|an end arrives only after all bytes|every byte/,
  },
  {
    name: "QUIC: the death of a connection is told as an end",
    file: "conduit/quic/quic-conduit.ts",
    find: "    else this.fail(CLOSE_RESET);",
    replace: "    else this.fail(0);",
    caughtBy: /an end|end in order/,
  },
  {
    name: "QUIC: an abort finishes what it should break off",
    file: "conduit/quic/quic-conduit.ts",
    find: "if (!this.outOver) this.transport.reset(this.stream, sent);",
    replace: "if (!this.outOver) this.transport.finish(this.stream);",
    caughtBy: /an end arrives only/,
  },
  {
    name: "QUIC: a stream that is over is not let go of",
    file: "conduit/quic/quic-conduit.ts",
    find: "    if (wasOpen) this.transport.release(stream);\n",
    replace: "    if (stream < 0) this.transport.release(stream);\n",
    caughtBy: /a stream that is over is let go of/,
  },
  {
    name: "QUIC: more streams are allowed, and nobody who waits is served",
    file: "conduit/quic/server-connection.ts",
    find: "    this.isFull = false;\n    this.serveWaiting();\n",
    replace: "    this.isFull = false;\n",
    caughtBy: /nobody waits for a stream where there is room|every stream comes to its end/,
  },
  {
    name: "QUIC: a connection that streams wait for is purged as idle",
    file: "conduit/quic/server-connection.ts",
    find: "    if (this.isIdle) this.setIdle(false, 0);\n    this.waiting.push(conduit);",
    replace: "    this.waiting.push(conduit);",
    caughtBy: /nobody waits for it|a connection is in use, or idle/,
  },
  {
    name: "QUIC: a connection that has lost its last stream is forgotten",
    file: "conduit/quic/server-connection.ts",
    find: "    this.streams.remove(conduit);\n    if (this.isEmpty()) this.pool.becameIdle(this);",
    replace: "    this.streams.remove(conduit);",
    caughtBy: /a connection is in use, or idle|no connection counts for it/,
  },
  {
    name: "QUIC: a connection leaves its server twice",
    file: "conduit/quic/server-connection.ts",
    find: "    countServerOpen(hub.tables, hub.worker, target.serverRow, -1);",
    replace: "    countServerOpen(hub.tables, hub.worker, target.serverRow, -2);",
    caughtBy: /idle connections are connections|has a QUIC connection|no connection counts for it/,
  },
  {
    name: "QUIC: a dead worker's connections stay with their servers",
    file: "conduit/quic/presence.ts",
    find: "  countServerOpen(tables, worker, row, -words[share + SHARE_QUIC_OPEN]!);",
    replace: "  countServerOpen(tables, worker, row, 0 * words[share + SHARE_QUIC_OPEN]!);",
    caughtBy: /server's connections exist|has a QUIC connection|no connection counts for it/,
  },
  {
    name: "QUIC: a released connection still holds its proxy",
    file: "conduit/quic/account.ts",
    find: "const before = Atomics.sub(this.#proxies, holdersAt(proxyRow, isFront), 1);",
    replace: "const before = Atomics.load(this.#proxies, holdersAt(proxyRow, isFront));",
    caughtBy: /a proxy is held by its QUIC connections/,
  },
  {
    name: "QUIC: what a connection counted before is counted again",
    file: "conduit/quic/account.ts",
    find: "    if (last !== undefined) this.#sample(proxyRow, isFront, last);",
    replace: "    if (last !== undefined) this.count(proxyRow, isFront, last);",
    caughtBy: /what a connection counts is counted once/,
  },
  {
    name: "QUIC: a connection is closed before all is delivered",
    file: "conduit/quic/hub.ts",
    find: "if (numbers[STREAMS_NOW]! > 0 && now < one.untilMs) return false;",
    replace: "",
    caughtBy: /all bytes reach|an end in order arrives as one|both ends of all connections/,
  },
  {
    name: "QUIC: a direction that was broken off is passed on as one that ended",
    file: "data/relay/one-way.ts",
    find: "  other.reset!(code);",
    replace: "  other.finish();",
    caughtBy: /an end arrives only|an abort is passed on as an abort/,
  },
  {
    name: "QUIC: a stream of which bytes were taken is begun anew elsewhere",
    file: "data/relay/relay.ts",
    find: "  return !hasMoved && stream.brokenCause === 0 && stream.front !== null;",
    replace: "  return stream.front !== null;",
    caughtBy: /bytes arrive in order|no bytes without a server|bytes went up|end/,
  },
  {
    name: "QUIC: a backend in which it was used can be removed",
    file: "control/life/holders.ts",
    find: "  if (isQuicUsed(tables, proxy)) {",
    replace: "  if (isQuicUsed(tables, proxy) && proxy.row < 0) {",
    caughtBy: /no backend is removed in which a QUIC server was/,
  },
  {
    name: "QUIC: a connection that is being closed takes new streams",
    file: "conduit/quic/acceptor.ts",
    find: "    if (isUni || isClosed || this.isLeaving) {",
    replace: "    if (isUni || isClosed) {",
    caughtBy: /every stream comes to its end|PROXY header names|stream that is over|released/,
  },
];
