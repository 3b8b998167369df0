// The XDP program of the ceiling, and the process that holds it, in the switch's namespace: the least
// that a switch can do between two interfaces. All packets to the virtual address get the first
// server's addresses and leave by the other interface, answers the other way round; both are known when
// the program is made, so nothing is looked up, counted or remembered. Everything else (ARP) goes to
// the kernel. Run as
//   redirect-program.js '{"ways":[{"from":"ext0","to":"int0", …}, …]}'
// and writes "ready" when both programs are in place. Checksums are updated as in RFC 1624.

import { linkXdpProgram, loadXdpProgram, XDP_FLAGS_DRIVER } from '../../../src/sys/bpf.ts';
import { BpfAssembler, R0, R1, R2, R3, R6 } from '../../../src/sys/bpf-assembler.ts';
import { readLink } from '../../../src/sys/link.ts';

const XDP_PASS = 2;
const HELPER_REDIRECT = 23;
const ETHERTYPE = 12;
/** 0x0800 as a little-endian load reads it. */
const IPV4 = 0x0008;
const NETWORK = 14;
const PROTOCOL = NETWORK + 9;
const HEADER_CHECKSUM = NETWORK + 10;
const UDP = 17;
const UDP_CHECKSUM = 40;
/** Ethernet, IPv4 without options, UDP. */
const LEAST_LENGTH = 42;

/** What becomes of the packets of one direction. */
export interface RedirectWay {
  readonly from: string;
  readonly to: string;
  readonly sourceMac: string;
  readonly destinationMac: string;
  /** Which of the two addresses is replaced, and what by. */
  readonly field: 'source' | 'destination';
  readonly before: string;
  readonly after: string;
}

function bytesOf(text: string, separator: string, radix: number): number[] {
  return text.split(separator).map((part) => Number.parseInt(part, radix));
}

/** Two bytes as the program loads and stores them. */
function half(bytes: readonly number[], at: number): number {
  return bytes[at] | (bytes[at + 1] << 8);
}

/** Checksum at `offset` += what the new address changes; the ones-complement sum knows no byte order. */
function updateChecksum(program: BpfAssembler, offset: number, change: number): void {
  program.loadHalf(R2, R6, offset).xor(R2, 0xffff).addImmediate(R2, change);
  for (let round = 0; round < 2; round += 1) {
    program.copy(R3, R2).shiftRight(R3, 16).and(R2, 0xffff).add(R2, R3);
  }
  program.xor(R2, 0xffff);
}

/** The instructions for one direction. */
export function redirectInstructions(way: RedirectWay, interfaceIndex: number): Uint8Array {
  const macs = [...bytesOf(way.destinationMac, ':', 16), ...bytesOf(way.sourceMac, ':', 16)];
  const before = bytesOf(way.before, '.', 10);
  const after = bytesOf(way.after, '.', 10);
  const address = NETWORK + (way.field === 'source' ? 12 : 16);
  const change = [0, 2].reduce((sum, at) => sum + (half(before, at) ^ 0xffff) + half(after, at), 0);
  const program = new BpfAssembler()
    .loadWord(R6, R1, 0)
    .loadWord(R2, R1, 4)
    .copy(R3, R6)
    .addImmediate(R3, LEAST_LENGTH)
    .jumpIfGreater(R3, R2, 'pass')
    .loadHalf(R2, R6, ETHERTYPE)
    .jumpIfNotEqual(R2, IPV4, 'pass')
    .loadByte(R2, R6, PROTOCOL)
    .jumpIfNotEqual(R2, UDP, 'pass');
  for (const at of [0, 2]) {
    program.loadHalf(R2, R6, address + at).jumpIfNotEqual(R2, half(before, at), 'pass');
  }
  for (let at = 0; at < macs.length; at += 4) {
    program.storeWord(R6, at, half(macs, at) | (half(macs, at + 2) << 16));
  }
  for (const at of [0, 2]) program.move(R2, half(after, at)).storeHalf(R6, address + at, R2);
  updateChecksum(program, HEADER_CHECKSUM, change);
  program.storeHalf(R6, HEADER_CHECKSUM, R2);
  // 0 says that there is no checksum, so one that comes to 0 is written as its other form.
  program.loadHalf(R2, R6, UDP_CHECKSUM).jumpIfEqual(R2, 0, 'send');
  updateChecksum(program, UDP_CHECKSUM, change);
  program.jumpIfNotEqual(R2, 0, 'store').move(R2, 0xffff).label('store');
  program.storeHalf(R6, UDP_CHECKSUM, R2).label('send');
  program.move(R1, interfaceIndex).move(R2, 0).call(HELPER_REDIRECT).exit();
  return program.label('pass').move(R0, XDP_PASS).exit().assemble();
}

function hold(ways: readonly RedirectWay[]): void {
  for (const way of ways) {
    const code = redirectInstructions(way, readLink(way.to).index);
    const program = loadXdpProgram(code, 'weir_redirect');
    linkXdpProgram(program, readLink(way.from).index, XDP_FLAGS_DRIVER, way.from);
  }
  process.stdout.write('ready\n');
  // The programs go when this process does.
  setInterval(() => {}, 1 << 30);
}

if (process.argv[1]?.endsWith('redirect-program.js')) {
  hold((JSON.parse(process.argv[2] ?? '{}') as { ways: RedirectWay[] }).ways);
}
