// What the packet filter knows about the packet in its hands, and what it decided. One per switching
// processor, made at start, overwritten by each packet: its fields are set by the stages in the order
// of a packet's life (headers → connection → service and backend → way out → reason). After a packet
// it still says everything that was decided, which is what tracing and `explain` read.
// Invariant: all fields are int32; -1 stands for "none".

/** Without the check sequence. */
const ETHERNET_FRAME_MIN = 60;

/**
 * Length of a frame without what it has behind its packet, but for the padding that the least Ethernet
 * frame needs: a small packet in a long frame must not be too long for the next link.
 * @param needed bytes up to the end of the packet. @hot
 */
export function lengthToSend(length: number, needed: number): number {
  const least = needed > ETHERNET_FRAME_MIN ? needed : ETHERNET_FRAME_MIN;
  return length > least ? least : length;
}

export class PacketContext {
  // The frame: offset in main memory, length in bytes, where it came in.
  offset = 0;
  length = 0;
  /** Number of the interface on which it came in. */
  ingress = 0;

  // Headers (step 204).
  /** Offset of the first byte behind Ethernet header and VLAN tags. */
  networkOffset = 0;
  transportOffset = 0;
  /** Offset of the first byte behind the IP packet (padding follows). */
  packetEnd = 0;
  protocol = 0;
  source = 0;
  destination = 0;
  /** What the source was, when it is the control host's and has become its virtual address; else 0. */
  realSource = 0;
  /** Source port in the upper, destination port in the lower 16 bits. */
  ports = 0;
  /** Flags of the TCP segment; 0 for UDP. */
  tcpFlags = 0;

  // Connection (steps 210, 212): number of the record, and which way the packet goes.
  record = -1;
  direction = 0;

  // Service and backend (steps 206, 214).
  service = -1;
  backend = -1;

  // Way out (step 224).
  egress = -1;
  neighbor = -1;

  /** 1 when the frame belongs to somebody else now: sent, handed over or held. */
  hasLeft = 0;

  /** How it ended: an index into REASONS, or -1 while it waits for a neighbor. */
  reason = -1;

  /** Length of the frame as it is to be sent. @hot */
  lengthToSend(): number {
    return lengthToSend(this.length, (this.packetEnd - this.offset) | 0);
  }

  /** Begins a new packet. @hot */
  begin(offset: number, length: number, ingress: number): void {
    this.offset = offset;
    this.length = length;
    this.ingress = ingress;
    this.realSource = 0;
    this.record = -1;
    this.service = -1;
    this.backend = -1;
    this.egress = -1;
    this.neighbor = -1;
    this.hasLeft = 0;
    this.reason = -1;
  }
}
