// How weir hears ARP on an interface that stays the kernel's. An answer to a question of weir's is one to
// the kernel as well: both ask in the name of the host's address. An XDP program can give a frame to one
// of them only; so it leaves ARP answers to the kernel, and this packet socket has a copy of each.
// Questions do not come this way: those for weir's own addresses are taken by the XDP program, the
// others are the kernel's to answer. What announces itself (sender and target the same: a router that
// has taken over another's address) is heard, as RFC 826 wants it.
// The socket is polled as one more queue of the interface, and sends nothing.

import { FRAME_SIZE } from '../../memory/layout.ts';
import { filterInstruction, openPacketSocket } from '../../sys/packet-socket.ts';
import type { PacketGeometry } from './geometry.ts';

/** ARP is rare; more than this at once is a flood, of which the rest is dropped. */
export const LISTENER_GEOMETRY: PacketGeometry = {
  receive: { slotSize: FRAME_SIZE, slotCount: 128 },
  transmit: { slotSize: FRAME_SIZE, slotCount: 32 },
};

const TYPE_ARP = 0x0806;
// Classic BPF: BPF_LD | BPF_ABS with halfword or word, BPF_JMP | BPF_JEQ with constant or X, …
const LOAD_HALF = 0x28;
const LOAD_WORD = 0x20;
const TO_INDEX = 0x07;
const JUMP_EQUAL = 0x15;
const JUMP_EQUAL_INDEX = 0x1d;
const RETURN = 0x06;
// Offsets in the frame.
const OPERATION = 20;
const SENDER_ADDRESS = 28;
const TARGET_ADDRESS = 38;
const REPLY = 2;

const ANSWERS_AND_ANNOUNCEMENTS = [
  filterInstruction(LOAD_HALF, 0, 0, OPERATION),
  filterInstruction(JUMP_EQUAL, 4, 0, REPLY),
  filterInstruction(LOAD_WORD, 0, 0, TARGET_ADDRESS),
  filterInstruction(TO_INDEX, 0, 0, 0),
  filterInstruction(LOAD_WORD, 0, 0, SENDER_ADDRESS),
  filterInstruction(JUMP_EQUAL_INDEX, 0, 1, 0),
  filterInstruction(RETURN, 0, 0, 0xffff),
  filterInstruction(RETURN, 0, 0, 0),
];

/**
 * Opens the socket.
 * @returns its file descriptor; its rings have the form LISTENER_GEOMETRY
 * @throws SystemError
 */
export function openArpListener(interfaceName: string, interfaceIndex: number): number {
  return openPacketSocket({
    interfaceIndex,
    interfaceName,
    protocol: TYPE_ARP,
    filter: ANSWERS_AND_ANNOUNCEMENTS,
    ...LISTENER_GEOMETRY,
  });
}
