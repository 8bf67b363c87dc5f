/** A thread that is given the addresses of the QUIC module, and tells what it finds there. */
import { quicLibraries, quicReason, useQuicAddresses } from "../../src/conduit/quic/native-quic.ts";

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<Record<string, number> | null>) => {
  useQuicAddresses(data);
  self.postMessage({ libraries: quicLibraries(), reason: quicReason() });
};
