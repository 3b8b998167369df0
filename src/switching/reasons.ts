// The reasons (memory/reasons.ts) as constants for the filter's stages.
// They are looked up by name once, when this module is loaded; per packet a reason is a number and
// nothing more. CONTINUE and WAITING are no reasons: under them nothing is counted.

import { reason } from '../memory/reasons.ts';

export const CONNECTION = reason('connection');
export const NEW_CONNECTION = reason('new-connection');
export const ICMP_ERROR = reason('icmp-error');
export const FORWARDED = reason('forwarded');
export const SOURCE_NAT = reason('source-nat');
export const FROM_CONTROL = reason('from-control');
export const TO_CONTROL_INTERFACE = reason('to-control-interface');
export const FROM_CONTROL_INTERFACE = reason('from-control-interface');
export const APP_FORWARDED = reason('app-forwarded');
export const TO_CONTROL = reason('to-control');
export const ARP_ANSWERED = reason('arp-answered');
export const ARP_LEARNED = reason('arp-learned');
export const ECHO_ANSWERED = reason('echo-answered');
export const RESET_INVALID_SERVICE = reason('reset-invalid-service');
export const RESET_UNKNOWN_CONNECTION = reason('reset-unknown-connection');
export const RESET_TABLE_FULL = reason('reset-table-full');
export const RESET_NO_BACKEND = reason('reset-no-backend');
export const RESET_LIMIT = reason('reset-limit');
export const UNREACHABLE_ANSWERED = reason('unreachable-answered');
export const APP_REPLIED = reason('app-replied');
export const APP_CONSUMED = reason('app-consumed');
export const TIME_EXCEEDED_ANSWERED = reason('time-exceeded-answered');
export const FORWARDING_REFUSED = reason('forwarding-refused');
export const TRUNCATED = reason('truncated');
export const FRAME_TOO_LONG = reason('frame-too-long');
export const NOT_FOR_US = reason('not-for-us');
export const UNKNOWN_ETHERTYPE = reason('unknown-ethertype');
export const BAD_ARP = reason('bad-arp');
export const ARP_IGNORED = reason('arp-ignored');
export const BAD_IP_VERSION = reason('bad-ip-version');
export const BAD_IP_HEADER_LENGTH = reason('bad-ip-header-length');
export const BAD_IP_TOTAL_LENGTH = reason('bad-ip-total-length');
export const BAD_IP_CHECKSUM = reason('bad-ip-checksum');
export const BAD_IP_SOURCE = reason('bad-ip-source');
export const FRAGMENT = reason('fragment');
export const TTL_EXPIRED = reason('ttl-expired');
export const UNKNOWN_PROTOCOL = reason('unknown-protocol');
export const BAD_TCP_HEADER = reason('bad-tcp-header');
export const BAD_TCP_FLAGS = reason('bad-tcp-flags');
export const BAD_UDP_LENGTH = reason('bad-udp-length');
export const BAD_TRANSPORT_CHECKSUM = reason('bad-transport-checksum');
export const BAD_ICMP = reason('bad-icmp');
export const ICMP_IGNORED = reason('icmp-ignored');
export const INVALID_SERVICE = reason('invalid-service');
export const UNKNOWN_CONNECTION = reason('unknown-connection');
export const RESET_RECEIVED = reason('reset-received');
export const RESET_RATE_LIMITED = reason('reset-rate-limited');
export const ECHO_RATE_LIMITED = reason('echo-rate-limited');
export const TABLE_FULL = reason('table-full');
export const TUPLE_IN_USE = reason('tuple-in-use');
export const INSERT_RACE = reason('insert-race');
export const NO_BACKEND = reason('no-backend');
export const SERVICE_LIMIT = reason('service-limit');
export const BACKEND_LIMIT = reason('backend-limit');
export const FLOOD_GUARD = reason('flood-guard');
export const APP_DROPPED = reason('app-dropped');
export const APP_FAILED = reason('app-failed');
export const SOURCE_NAT_FULL = reason('source-nat-full');
export const NO_ROUTE = reason('no-route');
export const ROUTE_BLACKHOLE = reason('route-blackhole');
export const ROUTE_UNREACHABLE = reason('route-unreachable');
export const ROUTE_PROHIBITED = reason('route-prohibited');
export const NEIGHBOR_UNRESOLVED = reason('neighbor-unresolved');
export const WAITING_FULL = reason('waiting-full');
export const TRANSMIT_FULL = reason('transmit-full');
export const LANE_FULL = reason('lane-full');
export const PACKET_STORAGE_FULL = reason('packet-storage-full');
export const INTERFACE_DOWN = reason('interface-down');
export const NOT_OURS = reason('not-ours');

/** Returned by a stage that found nothing to end the packet for: the next stage goes on. */
export const CONTINUE = -1;
/** Returned when the packet is held until its neighbor answers: counted when that is decided. */
export const WAITING = -2;
