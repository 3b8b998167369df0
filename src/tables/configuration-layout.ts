// The byte map of the configuration table: services, backends, our own addresses, rules. What reads it
// per packet: configuration-table.ts and rule-table.ts; what writes it: configuration-writer.ts.
//
// Two buffers of CONFIGURATION_TABLE_SIZE bytes. Control alone writes, and only the standby one;
// publishing is raising the generation (memory/double-buffer.ts). `base` is the index in `words` of
// the buffer's first word. Sections, in words from there:
//
//   header                  256                 counts, rate limits, default timeouts
//   services                32 × MAX_SERVICES   by service id: stable over reloads, by name
//   backends                8 × MAX_BACKENDS    by backend id: likewise
//   service lookup          4 × 8192            (address, port, protocol) → service id + 1
//   backend endpoint lookup 4 × 32768           (address, port, protocol) → 1
//   own address lookup      4 × 16384           address → kind, interface number, prefix length
//   interface addresses     64 × MAX_INTERFACES count, then (address, prefix length) × 31
//   backend lists           MAX_BACKENDS        backend ids, service after service
//   rules                   32 × MAX_RULES      service after service, in the order they are tried
//   forwarding pairs        MAX_INTERFACES²     by ingress, then egress: 0 none, else rule + 1
//   forwarding rules        4 × MAX_FORWARDING  0 source address, 0 = kept  1 its first port  2 ports
//   control pair lookup     4 × 256             virtual address → real one, and the other way
//   selection pool          the rest            backend ids: selection tables, lists of rules' pools
//
//   service word: 0 valid  1 address  2 port  3 protocol  4 forwarding  5 scheduler
//                 6 selection offset  7 selection length  8 backend list offset  9 backend count
//                 10 persistence mask, 0 = none  11 connection limit, 0 = none
//                 12 first rule  13 rule count  14 flags (SERVICE_ADOPTS_…)  15 spare
//                 16…31 timeouts in ms, by TIMEOUT_* (tables/connection-states.ts)
//   backend word: 0 valid  1 address  2 port  3 weight  4 service id  5 connection limit, 0 = none
//                 6 flags (BACKEND_ENDS_…)  7 spare
//   lookup word:  0 address  1 port << 16 | protocol  2 value, 0 = free slot
//   control pair: 0 address, 0 = free slot  1 PAIR_VIRTUAL or PAIR_REAL  2 the other address
//                 3 interface number of the real one's network
//   own address:  0 address  1 kind, 0 = free slot  2 interface number or -1
//                 3 prefix length | OWN_OF_CONTROL_HOST
//   rule word:    0 conditions (RULE_HAS_…)  1 client network  2 its mask
//                 3 client ports, first << 16 | last  4, 5 set of DSCP, bit by value
//                 6 VLAN id  7 payload offset << 8 | length (1 … 16 bytes)
//                 8…11 payload value, as it stands in the packet, zeros behind it  12…15 its mask
//                 16 selection offset  17 selection length  18 list offset  19 backend count
//                 20 pool number: 1, 2, … within the service; 0 is the service's own
//
// The four words 6…9 of a service and 16…19 of a rule are a *pool*: the backends that one choice is
// made among. Lists hold all of a pool's backends, selection tables those that have a weight. A service's list
// is in the order of the configuration, that of a rule's pool in ascending order.
//
// An id of which `valid` is 0 is unused: a connection record may still name it after a reload.

import {
  CONFIGURATION_TABLE_SIZE,
  MAX_BACKENDS,
  MAX_INTERFACES,
  MAX_SERVICES,
} from '../memory/layout.ts';

export const NOT_FOUND = -1;

/** Rewrites addresses and ports both ways; the backend's replies come back through us. */
export const FORWARDING_NAT = 0;
/** Direct server return: only the MAC address is rewritten; we never see the replies. */
export const FORWARDING_DSR = 1;
/**
 * A connection that began behind us: the side that answers is the record's client, the address and port
 * that its source was translated to are the service's, and the host that began it is the server.
 */
export const FORWARDING_SOURCE_NAT = 2;

// How a service's backends are chosen (switching/choose-backend.ts). "Weighted" tells what control is
// to put into the selection table; where connections are counted, the weight of the record counts too.
/** The selection table is walked, one position per new connection. */
export const SCHEDULER_WEIGHTED_ROUND_ROBIN = 0;
/** The selection table is indexed by a hash of the client's address and port. */
export const SCHEDULER_MAGLEV = 1;
/** The selection table, made of equal weights, is walked. */
export const SCHEDULER_ROUND_ROBIN = 2;
/** Fewest open connections. */
export const SCHEDULER_LEAST_CONNECTIONS = 3;
/** Fewest open connections by weight. */
export const SCHEDULER_WEIGHTED_LEAST_CONNECTIONS = 4;
/** Fewest by weight when the new connection is counted already. */
export const SCHEDULER_SHORTEST_EXPECTED_DELAY = 5;
/** One that has no connection, else the shortest expected delay. */
export const SCHEDULER_NEVER_QUEUE = 6;
/** The selection table is indexed by a hash of the client's address. */
export const SCHEDULER_SOURCE_HASH = 7;
/** Of two drawn from the selection table, the one with fewer open connections by weight. */
export const SCHEDULER_POWER_OF_TWO = 8;
/** Drawn from the selection table. */
export const SCHEDULER_RANDOM = 9;

/** What an own address is; interface addresses win when it is both. */
export const OWN_INTERFACE_ADDRESS = 1;
export const OWN_SERVICE_ADDRESS = 2;

/** The control host's programs have the address: what no service claims is theirs. */
export const OWN_OF_CONTROL_HOST = 0x100;

/** Which address of a control pair a slot is found by. */
export const PAIR_VIRTUAL = 1;
export const PAIR_REAL = 2;

/** Words of timeouts in a service and in the header. */
export const TIMEOUT_WORDS = 16;
export const MAX_ADDRESSES_PER_INTERFACE = 31;
/** Most records of rules of all services: one for each client network of each rule. */
export const MAX_RULES = 4096;
/** Most pairs of interfaces between which is forwarded. */
export const MAX_FORWARDING = 256;
/** Most pairs of a virtual and a real address of the control processor's. */
export const MAX_CONTROL_PAIRS = 64;
/** Most entries of the own address lookup; half of its slots. */
export const MAX_OWN_ADDRESSES = 8192;

// Sections: words from `base`.
export const HEADER_WORDS = 256;
export const SERVICE_WORDS = 32;
export const BACKEND_WORDS = 8;
export const LOOKUP_WORDS = 4;
export const SERVICE_LOOKUP_SLOTS = MAX_SERVICES * 2;
export const ENDPOINT_LOOKUP_SLOTS = MAX_BACKENDS * 2;
export const OWN_LOOKUP_SLOTS = MAX_OWN_ADDRESSES * 2;
export const INTERFACE_WORDS = 64;
export const RULE_WORDS = 32;
export const FORWARDING_WORDS = 4;
/** Two entries for each pair, in at most half of the slots. */
export const PAIR_LOOKUP_SLOTS = MAX_CONTROL_PAIRS * 4;

export const SERVICES = HEADER_WORDS;
export const BACKENDS = SERVICES + SERVICE_WORDS * MAX_SERVICES;
export const SERVICE_LOOKUP = BACKENDS + BACKEND_WORDS * MAX_BACKENDS;
export const ENDPOINT_LOOKUP = SERVICE_LOOKUP + LOOKUP_WORDS * SERVICE_LOOKUP_SLOTS;
export const OWN_LOOKUP = ENDPOINT_LOOKUP + LOOKUP_WORDS * ENDPOINT_LOOKUP_SLOTS;
export const INTERFACE_ADDRESSES = OWN_LOOKUP + LOOKUP_WORDS * OWN_LOOKUP_SLOTS;
export const BACKEND_LISTS = INTERFACE_ADDRESSES + INTERFACE_WORDS * MAX_INTERFACES;
export const RULES = BACKEND_LISTS + MAX_BACKENDS;
export const FORWARDING_PAIRS = RULES + RULE_WORDS * MAX_RULES;
export const FORWARDING_RULES = FORWARDING_PAIRS + MAX_INTERFACES * MAX_INTERFACES;
export const PAIR_LOOKUP = FORWARDING_RULES + FORWARDING_WORDS * MAX_FORWARDING;
export const SELECTION_POOL = PAIR_LOOKUP + LOOKUP_WORDS * PAIR_LOOKUP_SLOTS;
export const CONFIGURATION_TABLE_WORDS = CONFIGURATION_TABLE_SIZE / 4;
/** Positions that all selection tables and lists of rules together may have: about 1.4 million. */
export const SELECTION_POOL_CAPACITY = CONFIGURATION_TABLE_WORDS - SELECTION_POOL;

// Words of the header.
export const CONFIGURATION_SERVICES = 0;
export const CONFIGURATION_BACKENDS = 1;
export const CONFIGURATION_OWN_ADDRESSES = 2;
export const CONFIGURATION_SELECTION_WORDS = 3;
export const CONFIGURATION_RESETS_PER_SECOND = 4;
export const CONFIGURATION_ECHO_REPLIES_PER_SECOND = 5;
/** A hash of all our addresses: what is to be announced has changed when it has. */
export const CONFIGURATION_ADDRESSES = 6;
/** Backends with BACKEND_ENDS_CONNECTIONS: the sweep asks for the flag only while there are any. */
export const CONFIGURATION_ENDING = 7;
/** Records of rules. */
export const CONFIGURATION_RULES = 8;
export const CONFIGURATION_ICMP_ERRORS_PER_SECOND = 9;
/** Numbers, plus 1, under which connections with a translated source count; 0: there are none. */
export const CONFIGURATION_SOURCE_NAT_SERVICE = 10;
export const CONFIGURATION_SOURCE_NAT_BACKEND = 11;
/** Two words, a bit for each interface from which something is forwarded. */
export const CONFIGURATION_FORWARDING_FROM = 12;
/** Pairs of a virtual and a real address of the control processor's. */
export const CONFIGURATION_CONTROL_PAIRS = 14;
export const CONFIGURATION_DEFAULT_TIMEOUTS = 16;

// Words of a service.
export const SERVICE_VALID = 0;
export const SERVICE_ADDRESS = 1;
export const SERVICE_PORT = 2;
export const SERVICE_PROTOCOL = 3;
export const SERVICE_FORWARDING = 4;
export const SERVICE_SCHEDULER = 5;
export const SERVICE_SELECTION_OFFSET = 6;
export const SERVICE_SELECTION_LENGTH = 7;
export const SERVICE_LIST_OFFSET = 8;
export const SERVICE_BACKEND_COUNT = 9;
/** Network mask of the client's address under which a client stays with its backend. */
export const SERVICE_PERSISTENCE_MASK = 10;
export const SERVICE_CONNECTION_LIMIT = 11;
export const SERVICE_FIRST_RULE = 12;
export const SERVICE_RULE_COUNT = 13;
export const SERVICE_FLAGS = 14;
export const SERVICE_TIMEOUTS = 16;

/** A TCP segment of no connection begins one: after its connection was ended to be moved. */
export const SERVICE_ADOPTS_CONNECTIONS = 1;

// Words of a forwarding rule.
export const FORWARDING_SOURCE = 0;
export const FORWARDING_FIRST_PORT = 1;
export const FORWARDING_PORT_COUNT = 2;

// Words of a backend.
export const BACKEND_VALID = 0;
export const BACKEND_ADDRESS = 1;
export const BACKEND_PORT = 2;
export const BACKEND_WEIGHT = 3;
export const BACKEND_SERVICE = 4;
export const BACKEND_CONNECTION_LIMIT = 5;
export const BACKEND_FLAGS = 6;

/** Its connections are to be ended: it is down, or drained to a deadline. */
export const BACKEND_ENDS_CONNECTIONS = 1;

// Words of a pool, from the first of the four.
export const POOL_SELECTION_OFFSET = 0;
export const POOL_SELECTION_LENGTH = 1;
export const POOL_LIST_OFFSET = 2;
export const POOL_BACKEND_COUNT = 3;

// Words of a rule.
export const RULE_CONDITIONS = 0;
export const RULE_CLIENT_NETWORK = 1;
export const RULE_CLIENT_MASK = 2;
export const RULE_CLIENT_PORTS = 3;
export const RULE_DSCP = 4;
export const RULE_VLAN = 6;
export const RULE_PAYLOAD = 7;
export const RULE_PAYLOAD_VALUE = 8;
export const RULE_PAYLOAD_MASK = 12;
export const RULE_POOL = 16;
export const RULE_POOL_NUMBER = 20;

/** Longest piece of a payload that a rule compares. */
export const PAYLOAD_BYTES_MAX = 16;

// Conditions of a rule; all that it has must hold.
export const RULE_HAS_CLIENTS = 0x01;
export const RULE_HAS_CLIENT_PORTS = 0x02;
export const RULE_HAS_DSCP = 0x04;
export const RULE_HAS_VLAN = 0x08;
export const RULE_HAS_PAYLOAD = 0x10;
