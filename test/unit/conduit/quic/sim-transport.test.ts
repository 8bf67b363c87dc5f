import { encodeSocketAddress } from "../../../../src/conduit/sockaddr.ts";
import { bindProfile, makeClock, serverProfile } from "../../../support/sim-quic-lab.ts";
import { CALM_NETWORK, SimNetwork } from "../../../support/sim-quic.ts";
import type { QuicHabits } from "../../../support/sim-quic.ts";
import { Choices } from "../../../support/sim-random.ts";
import { SimTransport } from "../../../support/sim-transport.ts";
import { CountingAccount, runTransportSuite } from "../../../support/transport-suite.ts";
import type { TransportCase } from "../../../support/transport-suite.ts";

const PORT = 443;
const PROXY_ROW = 96;
/** Longer than anything that happens by itself. */
const SETTLE_MS = 100;
const ROUNDS_MAX = 100_000;

function makeCase(name: string, habits: QuicHabits): TransportCase {
  return {
    name,
    make: async (wishes, owner) => {
      const clock = makeClock();
      const network = new SimNetwork(new Choices(11, false, null), habits, clock.nowMs);
      const serverAccount = new CountingAccount();
      const clientAccount = new CountingAccount();
      const server = new SimTransport(network, serverAccount, "127.0.0.1");
      const client = new SimTransport(network, clientAccount, "127.0.0.2");
      const { serverAlpn, clientAlpn } = wishes;
      const bind = bindProfile({ alpn: serverAlpn ?? [], transport: wishes.server ?? {} });
      const profile = serverProfile({ alpn: clientAlpn ?? [], transport: wishes.client ?? {} });
      const endpoint = server.listen(bind, PORT, PROXY_ROW, owner);
      const round = (): boolean => {
        const acted = [server.turn(), client.turn()].some(Boolean);
        if (!acted) clock.advance(1);
        return acted;
      };
      return {
        server,
        client,
        serverAccount,
        clientAccount,
        endpoint,
        proxyRow: PROXY_ROW,
        connect: (connectionOwner, toNobody = false) =>
          client.connect(
            {
              profile,
              remote: encodeSocketAddress({
                family: "ipv4",
                host: "127.0.0.1",
                port: toNobody ? PORT + 1 : PORT,
              }),
              local: null,
              interfaceName: null,
              sni: "example.net",
              verifyName: "",
              alpn: [],
              ticket: null,
              proxyRow: PROXY_ROW,
            },
            connectionOwner,
          ),
        until: async (condition) => {
          for (let i = 0; !condition(); i++) {
            round();
            if (i > ROUNDS_MAX) throw new Error("the condition never held");
          }
        },
        settle: async () => {
          for (const end = clock.nowMs() + SETTLE_MS; clock.nowMs() < end;) round();
        },
        close: () => {},
      };
    },
  };
}

runTransportSuite(makeCase("a calm network", CALM_NETWORK));
runTransportSuite(
  makeCase("a network that delays, loses and reorders", {
    pieceBytesMax: 1300,
    delayMsMax: 5,
    lost: 0.1,
    lostMs: 15,
    datagramLost: 0,
    overtake: 0.5,
    batchMax: 4,
    flightBytesMax: 30_000,
    shortWrite: 0.3,
    handshakeFailure: 0,
    lateCredit: 0.3,
    lateStart: 0.5,
  }),
);
