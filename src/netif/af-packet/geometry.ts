// The form of the two rings of an AF_PACKET socket, known to the supervisor, which has the kernel
// make them, and to the switching processor, which maps them. Both count on the same numbers, so they
// stand in one place; there is nothing to hand over but the file descriptor.
//
// Every slot is one chunk long, so a frame that fits a chunk fits a slot: the kernel puts 66 bytes
// in front of a received frame (its header, sockaddr_ll, alignment), 32 before one to send.

import { FRAME_SIZE } from '../../memory/layout.ts';
import type { PacketRingSize } from '../../sys/packet-socket.ts';

export interface PacketGeometry {
  readonly receive: PacketRingSize;
  readonly transmit: PacketRingSize;
}

/** 4 MiB to receive into: 40 ms at 50 000 packets a second. 2 MiB to send from. */
export const PACKET_GEOMETRY: PacketGeometry = {
  receive: { slotSize: FRAME_SIZE, slotCount: 2048 },
  transmit: { slotSize: FRAME_SIZE, slotCount: 1024 },
};
