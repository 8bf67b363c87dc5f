/**
 * Which server of a name gets which of its addresses (HAProxy manual 5.2, `resolve-prefer`,
 * `resolve-net`, `resolve-opts`). A server keeps what it has while that is still an answer; an
 * address goes to one server of the name and backend, unless it may have more. The preferred family
 * counts most, a preferred network next, then that nobody has the address. O(servers + addresses)
 * for each set of preferences. Pure.
 */
import { IpAddress, maskIp, parseIp } from "../../base/address.ts";
import type { ServerNameSpec } from "../../tables/spec.ts";
import type { KeptRecords } from "./kept-records.ts";
import type { NamedAddress } from "./message.ts";

/** A server that wants an address. */
export type Seat = {
  /** What it has now, as text; undefined = none. */
  host: string | undefined;
  naming: ServerNameSpec;
};

/** Family and network: 0 … 3. */
const RANKS = 4;

/** The addresses for seats with one kind of wishes. */
class Offer {
  readonly #naming: ServerNameSpec;
  readonly #nets: { ip: IpAddress; bits: number }[];
  /** Addresses that may be free, best rank last; what was taken meanwhile is skipped. */
  readonly #lists: NamedAddress[][] = Array.from({ length: RANKS }, () => []);
  /** By address: each is looked at once. */
  readonly #ranks = new Map<string, number>();
  readonly #at: number[] = Array.from({ length: RANKS }, () => 0);
  readonly best: NamedAddress | undefined;

  constructor(naming: ServerNameSpec, records: KeptRecords<NamedAddress>) {
    this.#naming = naming;
    this.#nets = naming.nets.map(({ base, bits }) => {
      const ip = new IpAddress();
      parseIp(base, ip);
      maskIp(ip, bits);
      return { ip, bits };
    });
    for (const [, address] of records.fresh()) this.#lists[this.rank(address)]!.push(address);
    this.best = this.#lists.findLast((list) => list.length > 0)?.[0];
  }

  rank({ family, host }: NamedAddress): number {
    const known = this.#ranks.get(host);
    if (known !== undefined) return known;
    const isPreferred = family === (this.#naming.prefer === "ipv4" ? 4 : 6);
    const rank = (isPreferred ? 2 : 0) + (this.#isNear(host) ? 1 : 0);
    this.#ranks.set(host, rank);
    return rank;
  }

  #isNear(host: string): boolean {
    if (this.#nets.length === 0) return false;
    const ip = new IpAddress();
    parseIp(host, ip);
    return this.#nets.some(({ ip: net, bits }) => {
      if (net.family !== ip.family) return false;
      const masked = new IpAddress();
      masked.copyFrom(ip);
      maskIp(masked, bits);
      return masked.equals(net);
    });
  }

  /** The best address that nobody has. */
  free(taken: ReadonlySet<string>): NamedAddress | undefined {
    for (let rank = RANKS - 1; rank >= 0; rank--) {
      const list = this.#lists[rank]!;
      for (; this.#at[rank]! < list.length; this.#at[rank]!++) {
        const address = list[this.#at[rank]!]!;
        if (!taken.has(address.host)) return address;
      }
    }
    return undefined;
  }

  /** An address has become free. */
  giveBack(address: NamedAddress): void {
    this.#lists[this.rank(address)]!.push(address);
  }
}

/**
 * The address of each seat, in their order; undefined = there is none for it.
 * @param records what is known of the name, not empty
 */
export function chooseAddresses(
  seats: readonly Seat[],
  records: KeptRecords<NamedAddress>,
): (NamedAddress | undefined)[] {
  const offers = new Map<string, Offer>();
  const offerOf = ({ naming }: Seat): Offer => {
    const wishes = wishesOf(naming);
    const known = offers.get(wishes) ?? new Offer(naming, records);
    offers.set(wishes, known);
    return known;
  };
  const taken = new Set<string>();
  // Whoever has an address comes first: nobody loses it to a newcomer.
  const kept = seats.map((seat) => {
    const address = seat.host === undefined ? undefined : records.get(seat.host);
    if (address === undefined || taken.has(address.host)) return undefined;
    taken.add(address.host);
    return address;
  });
  return seats.map((seat, index) => {
    const offer = offerOf(seat);
    const free = offer.free(taken);
    const own = kept[index];
    if (own !== undefined) {
      if (free === undefined || offer.rank(free) <= offer.rank(own)) return own;
      taken.delete(own.host);
      if (records.isFresh(own.host)) for (const other of offers.values()) other.giveBack(own);
      taken.add(free.host);
      return free;
    }
    const shared = sharedOf(seat, offer, records);
    if (free === undefined) return shared;
    if (shared !== undefined && offer.rank(shared) > offer.rank(free)) return shared;
    taken.add(free.host);
    return free;
  });
}

/** What ranks addresses for a seat: server lines that say the same share an offer. */
function wishesOf({ prefer, nets }: ServerNameSpec): string {
  return [prefer, ...nets.map(({ base, bits }) => `${base}/${bits}`)].join(" ");
}

/** What a seat may have together with another one: what it has, else the best there is. */
function sharedOf(
  { host, naming }: Seat,
  offer: Offer,
  records: KeptRecords<NamedAddress>,
): NamedAddress | undefined {
  if (!naming.allowsDuplicate) return undefined;
  return (host === undefined ? undefined : records.get(host)) ?? offer.best;
}
