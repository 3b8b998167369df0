// Verdicts and reasons: how a packet's life in the switch can end. Every packet is counted under
// exactly one reason, and a reason belongs to exactly one verdict, so per processor, always:
//   received = forwarded + dropped + punted + consumed + waiting
// (waiting: held until a neighbor's MAC address is known; it is counted when that is decided).
// The list is closed: metrics, `weir status` and docs/reference/reasons.md are made from it.

export const VERDICT_FORWARD = 0;
export const VERDICT_DROP = 1;
/** To the control host's own programs, by packet storage. */
export const VERDICT_PUNT = 2;
export const VERDICT_CONSUME = 3;

export const VERDICTS = ['forwarded', 'dropped', 'punted', 'consumed'] as const;

/** One way to end: [name, verdict, what it means to an operator]. The index is the reason. */
export const REASONS = [
  ['connection', VERDICT_FORWARD, 'belongs to a known connection'],
  ['new-connection', VERDICT_FORWARD, 'began a connection: a backend was chosen'],
  ['icmp-error', VERDICT_FORWARD, 'ICMP error about a known connection'],
  ['forwarded', VERDICT_FORWARD, 'claimed by nobody: routed from one interface to another'],
  ['source-nat', VERDICT_FORWARD, 'began a connection whose source is translated'],
  ['from-control', VERDICT_FORWARD, 'came from a program of the control host and was routed'],
  ['to-control-interface', VERDICT_FORWARD, 'for a virtual control address: sent to the real one'],
  [
    'from-control-interface',
    VERDICT_FORWARD,
    'from a real control address: sent as the virtual one',
  ],
  ['app-forwarded', VERDICT_FORWARD, 'an application has sent it on'],
  ['to-control', VERDICT_PUNT, 'for a control address: to the programs of the control host'],
  ['arp-answered', VERDICT_CONSUME, 'ARP request for one of our addresses or services'],
  ['arp-learned', VERDICT_CONSUME, 'ARP packet that taught or confirmed a neighbor'],
  ['echo-answered', VERDICT_CONSUME, 'echo request to one of our addresses or services'],
  ['reset-invalid-service', VERDICT_CONSUME, 'TCP to no service: answered with a reset'],
  ['reset-unknown-connection', VERDICT_CONSUME, 'TCP of no connection: answered with a reset'],
  ['reset-table-full', VERDICT_CONSUME, 'new TCP connection refused with a reset: table full'],
  ['reset-no-backend', VERDICT_CONSUME, 'new TCP connection refused with a reset: no backend'],
  ['reset-limit', VERDICT_CONSUME, 'new TCP connection refused with a reset: connection limit'],
  [
    'unreachable-answered',
    VERDICT_CONSUME,
    "the control host's and cannot be sent: said so by ICMP",
  ],
  ['app-replied', VERDICT_CONSUME, 'an application has answered it'],
  ['app-consumed', VERDICT_CONSUME, 'was for an application, which has taken it in'],
  ['time-exceeded-answered', VERDICT_CONSUME, 'time to live ran out: the sender was told by ICMP'],
  ['forwarding-refused', VERDICT_CONSUME, 'could not be forwarded: the sender was told by ICMP'],
  ['truncated', VERDICT_DROP, 'frame ends inside a header'],
  ['frame-too-long', VERDICT_DROP, 'frame is longer than a frame buffer or the next link'],
  ['not-for-us', VERDICT_DROP, 'destination MAC address is neither ours nor a group'],
  ['unknown-ethertype', VERDICT_DROP, 'neither IPv4 nor ARP; from the control host also tagged'],
  ['bad-arp', VERDICT_DROP, 'malformed ARP packet'],
  ['arp-ignored', VERDICT_DROP, 'well-formed ARP packet that does not concern us'],
  ['bad-ip-version', VERDICT_DROP, 'IP version is not 4'],
  ['bad-ip-header-length', VERDICT_DROP, 'IP header length below 20 or beyond the packet'],
  ['bad-ip-total-length', VERDICT_DROP, 'IP total length below the header or beyond the frame'],
  ['bad-ip-checksum', VERDICT_DROP, 'IP header checksum is wrong'],
  [
    'bad-ip-source',
    VERDICT_DROP,
    'source address that the sender cannot have: no host can, or it is ours',
  ],
  ['fragment', VERDICT_DROP, 'IP fragment: fragments are not carried'],
  ['ttl-expired', VERDICT_DROP, 'time to live ran out here'],
  ['unknown-protocol', VERDICT_DROP, 'neither TCP, UDP nor ICMP'],
  ['bad-tcp-header', VERDICT_DROP, 'TCP data offset below 20 or beyond the packet'],
  ['bad-tcp-flags', VERDICT_DROP, 'TCP flags that no sender may combine'],
  ['bad-udp-length', VERDICT_DROP, 'UDP length below 8 or beyond the packet'],
  ['bad-transport-checksum', VERDICT_DROP, 'TCP, UDP or ICMP checksum is wrong'],
  ['bad-icmp', VERDICT_DROP, 'malformed ICMP packet'],
  ['icmp-ignored', VERDICT_DROP, 'ICMP that concerns no connection and asks nothing of us'],
  ['invalid-service', VERDICT_DROP, 'UDP to no service: silent discard'],
  ['unknown-connection', VERDICT_DROP, 'UDP of no connection: silent discard'],
  ['reset-received', VERDICT_DROP, 'TCP reset of no connection: never answered'],
  ['reset-rate-limited', VERDICT_DROP, 'a reset was due, but too many were sent'],
  ['echo-rate-limited', VERDICT_DROP, 'an echo reply was due, but too many were sent'],
  ['table-full', VERDICT_DROP, 'new UDP connection refused: table full'],
  ['tuple-in-use', VERDICT_DROP, 'new connection whose reply could not be told from another'],
  ['insert-race', VERDICT_DROP, 'two processors saw the connection begin at once; sent again'],
  ['no-backend', VERDICT_DROP, 'new UDP connection: no backend has a weight'],
  ['service-limit', VERDICT_DROP, 'new connection refused: the service has as many as it may'],
  ['backend-limit', VERDICT_DROP, 'new connection refused: all backends have as many as they may'],
  ['flood-guard', VERDICT_DROP, 'first SYN of a source while half-open connections abound'],
  ['app-dropped', VERDICT_DROP, 'an application has dropped it'],
  ['app-failed', VERDICT_DROP, 'an application failed over it'],
  ['source-nat-full', VERDICT_DROP, 'no port or record is left for a translated source'],
  ['no-route', VERDICT_DROP, 'no route to the destination'],
  ['route-blackhole', VERDICT_DROP, 'the route to the destination is a blackhole'],
  ['route-unreachable', VERDICT_DROP, 'the route to the destination says unreachable'],
  ['route-prohibited', VERDICT_DROP, 'the route to the destination says prohibited'],
  ['neighbor-unresolved', VERDICT_DROP, 'the next hop does not answer ARP'],
  ['waiting-full', VERDICT_DROP, 'too many packets wait for a neighbor'],
  ['transmit-full', VERDICT_DROP, 'the outgoing interface takes no more'],
  ['lane-full', VERDICT_DROP, 'the processor that owns the outgoing queue takes no more'],
  ['packet-storage-full', VERDICT_DROP, 'the control host takes no more: packet storage is full'],
  ['interface-down', VERDICT_DROP, 'the outgoing interface is down'],
  ['not-ours', VERDICT_DROP, 'IP destination is neither ours nor of a known connection'],
] as const;

export type ReasonName = (typeof REASONS)[number][0];

const INDEX_OF: ReadonlyMap<string, number> = new Map(REASONS.map(([name], i) => [name, i]));

/** The number of a reason: for constants at module level, never per packet. */
export function reason(name: ReasonName): number {
  return INDEX_OF.get(name) as number;
}

/** Verdict of each reason, by index. */
export const VERDICT_OF_REASON: Int32Array = Int32Array.from(REASONS, ([, verdict]) => verdict);
