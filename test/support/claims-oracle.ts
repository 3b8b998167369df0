// What the XDP program of a shared interface must say of a frame, computed the plain way: the table of
// docs/guides/shared-interface.md, once more and by other means (a Map for the claims, offsets from the
// RFCs). Written to be read beside the guide, not to be fast; every byte of a frame may be anything.

import {
  ADDRESS_IS_KERNELS,
  ADDRESS_IS_WEIRS,
  CLAIM_ADDRESS,
  CLAIM_ENDPOINT,
  CLAIM_SERVICE,
} from '../../src/sys/claims-map.ts';
import type { ClaimEntry } from '../../src/sys/claims-table.ts';

const ETHERNET = 14;
const ICMP = 1;
const TCP = 6;
const UDP = 17;
const ERRORS = [3, 4, 5, 11, 12];

interface Header {
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
  readonly isFragment: boolean;
  /** Where it ends; undefined: it says that it is shorter than a header is. */
  readonly end: number | undefined;
}

export class ClaimsOracle {
  private readonly claims: ReadonlyMap<string, number>;
  private readonly mac: Uint8Array;

  constructor(claims: readonly ClaimEntry[], mac: Uint8Array) {
    this.claims = new Map(claims.map(({ address, key, flags }) => [`${address} ${key}`, flags]));
    this.mac = mac;
  }

  /** Whether weir takes it. */
  takes(frame: Uint8Array): boolean {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    if (frame.length < ETHERNET + 20) return false;
    const type = view.getUint16(12);
    if (type === 0x0806) return this.takesArp(view);
    if (type !== 0x0800 || this.mac.some((byte, i) => frame[i] !== byte)) return false;
    if (frame[ETHERNET] >> 4 !== 4) return false;
    const ip = header(view, ETHERNET);
    if ((this.flags(ip.destination) & ADDRESS_IS_WEIRS) !== 0) return true;
    if (ip.isFragment || ip.end === undefined || frame.length < ip.end + 8) return false;
    const isKernels = (this.flags(ip.destination) & ADDRESS_IS_KERNELS) !== 0;
    if (ip.protocol === ICMP) return this.takesError(view, ip.end, isKernels);
    if (ip.protocol !== TCP && ip.protocol !== UDP) return false;
    if (this.has(CLAIM_SERVICE, ip.destination, ip.protocol, view.getUint16(ip.end + 2)))
      return true;
    return !isKernels && this.has(CLAIM_ENDPOINT, ip.source, ip.protocol, view.getUint16(ip.end));
  }

  private takesArp(view: DataView): boolean {
    if (view.byteLength < ETHERNET + 28 || view.getUint16(ETHERNET + 6) !== 1) return false;
    return (this.flags(view.getInt32(ETHERNET + 24)) & ADDRESS_IS_WEIRS) !== 0;
  }

  private takesError(view: DataView, at: number, isKernels: boolean): boolean {
    if (!ERRORS.includes(view.getUint8(at)) || view.byteLength < at + 8 + 20) return false;
    const sent = header(view, at + 8);
    if (sent.end === undefined || view.byteLength < sent.end + 4) return false;
    if (this.has(CLAIM_SERVICE, sent.source, sent.protocol, view.getUint16(sent.end))) return true;
    const port = view.getUint16(sent.end + 2);
    return !isKernels && this.has(CLAIM_ENDPOINT, sent.destination, sent.protocol, port);
  }

  private flags(address: number): number {
    return this.claims.get(`${address} ${CLAIM_ADDRESS}`) ?? 0;
  }

  private has(kind: number, address: number, protocol: number, port: number): boolean {
    return this.claims.has(`${address} ${(port << 16) | (protocol << 8) | kind}`);
  }
}

function header(view: DataView, at: number): Header {
  const length = (view.getUint8(at) & 15) * 4;
  return {
    protocol: view.getUint8(at + 9),
    source: view.getInt32(at + 12),
    destination: view.getInt32(at + 16),
    isFragment: (view.getUint16(at + 6) & 0x3fff) !== 0,
    end: length < 20 ? undefined : at + length,
  };
}
