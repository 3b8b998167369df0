// A faulty file for every kind of fault: the example, edited, and all that must be found in it as
// 'line:column path | message | suggestion'.

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Fault } from './faults.ts';
import { parseConfiguration } from './parse.ts';
import { SCHEDULER_NAMES } from './schema.ts';

const EXAMPLES = new URL('../../../examples/', import.meta.url);
const example = readFileSync(new URL('two-interfaces.yaml', EXAMPLES), 'utf8');

const SCHEDULERS = Object.keys(SCHEDULER_NAMES).join(', ');

interface Row {
  title: string;
  edits: [string, string][];
  found: string[];
}

/** The example with the first occurrence of each text replaced. */
function edited(edits: readonly [string, string][]): string {
  return edits.reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`not in the example: ${from}`);
    return text.replace(from, to);
  }, example);
}

const show = ({ line, column, path, message, suggestion }: Fault): string =>
  `${line}:${column} ${path} | ${message} | ${suggestion}`;

const FAULTS: Row[] = [
  {
    title: 'an unknown key at the top',
    edits: [['limits:', 'limit:']],
    found: ["15:1 limit | unknown key 'limit' | did you mean limits?"],
  },
  {
    title: 'an unknown key of another place',
    edits: [['{ name: int0,', '{ name: int0, weight: 1,']],
    found: [
      "9:19 interfaces[1].weight | unknown key 'weight' | weight belongs in services[].backends[]",
    ],
  },
  {
    title: 'an unknown key like nothing',
    edits: [['{ name: int0,', '{ name: int0, colour: red,']],
    found: [
      "9:19 interfaces[1].colour | unknown key 'colour' | known here: name, addresses, kind, mode, queues, processor, busy-poll",
    ],
  },
  {
    title: 'a key in camel case',
    edits: [['services:', 'rateLimits: { resets: 5 }\nservices:']],
    found: ["17:1 rateLimits | unknown key 'rateLimits' | did you mean rate-limits?"],
  },
  {
    title: 'a missing key',
    edits: [['    protocol: tcp\n', '']],
    found: ['18:5 services[0].protocol | protocol is missing | add it as in protocol: tcp'],
  },
  {
    title: 'a key without a value',
    edits: [['protocol: tcp', 'protocol:']],
    found: ['20:5 services[0].protocol | no value is given | such as tcp'],
  },
  {
    title: 'no interfaces at all',
    edits: [
      [
        'interfaces:\n  - { name: ext0, addresses: [10.1.0.1/24] }\n  - { name: int0, addresses: [10.2.0.1/24] }\n',
        'interfaces: []\n',
      ],
    ],
    found: [
      '7:13 interfaces | the list is empty, at least one entry is needed | add one as in - { name: ext0, addresses: [10.1.0.1/24] }',
    ],
  },
  {
    title: 'an interface without addresses',
    edits: [['{ name: int0, addresses: [10.2.0.1/24] }', '{ name: int0, addresses: [] }']],
    found: [
      '9:30 interfaces[1].addresses | the list is empty, at least one entry is needed | add one as in [10.1.0.1/24]',
    ],
  },
  {
    title: 'a list that is a text',
    edits: [['[10.2.0.1/24]', '10.2.0.1/24']],
    found: [
      "9:30 interfaces[1].addresses | a list is expected, not '10.2.0.1/24' | write [10.2.0.1/24]",
    ],
  },
  {
    title: 'a list that is a map',
    edits: [['routes:\n  - {', 'routes:\n    {']],
    found: ["12:5 routes | a list is expected, not a map | begin each entry with '- '"],
  },
  {
    title: 'a number in quotes',
    edits: [['port: 80\n', "port: '80'\n"]],
    found: ["21:11 services[0].port | a number is expected, not '80' | write 80 without quotes"],
  },
  {
    title: 'a number that is a word',
    edits: [['port: 80\n', 'port: http\n']],
    found: ["21:11 services[0].port | a number is expected, not 'http' | "],
  },
  {
    title: 'a fraction',
    edits: [['port: 80\n', 'port: 80.5\n']],
    found: ['21:11 services[0].port | a whole number is expected, not 80.5 | '],
  },
  {
    title: 'a number too large',
    edits: [['port: 80\n', 'port: 65536\n']],
    found: ['21:11 services[0].port | 65536 is more than 65535 | '],
  },
  {
    title: 'a number too small',
    edits: [['port: 80\n', 'port: 0\n']],
    found: ['21:11 services[0].port | 0 is less than 1 | '],
  },
  {
    title: 'a text that is a number',
    edits: [['name: web', 'name: 80']],
    found: [
      '18:11 services[0].name | a text is expected, not 80 | write "80" in quotes if that is what is meant',
    ],
  },
  {
    title: 'a name with a space',
    edits: [['name: web', 'name: my web']],
    found: [
      "18:11 services[0].name | 'my web': a name has 1–63 letters, digits, dots, dashes and underscores, and starts with a letter or digit | ",
    ],
  },
  {
    title: 'an interface name too long',
    edits: [['name: int0', 'name: a-rather-long-name']],
    found: [
      "9:13 interfaces[1].name | 'a-rather-long-name': the name of an interface has 1–15 characters, and no space, slash or colon | ",
    ],
  },
  {
    title: 'a protocol that is not there',
    edits: [['protocol: tcp', 'protocol: tpc']],
    found: ["20:15 services[0].protocol | 'tpc' is not one of tcp, udp | did you mean tcp?"],
  },
  {
    title: 'a scheduler misspelled',
    edits: [['weighted-round-robin #', 'weighted-roundrobin #']],
    found: [
      `23:16 services[0].scheduler | 'weighted-roundrobin' is not one of ${SCHEDULERS} | did you mean weighted-round-robin?`,
    ],
  },
  {
    title: 'a scheduler like nothing',
    edits: [['weighted-round-robin #', 'lowest-load #']],
    found: [`23:16 services[0].scheduler | 'lowest-load' is not one of ${SCHEDULERS} | `],
  },
  {
    title: 'a mode that is not there',
    edits: [['{ name: ext0,', '{ name: ext0, mode: share,']],
    found: [
      "8:25 interfaces[0].mode | 'share' is not one of dedicated, shared | did you mean shared?",
    ],
  },
  {
    title: 'a kind that is not there',
    edits: [['{ name: ext0,', '{ name: ext0, kind: af_xpd,']],
    found: [
      "8:25 interfaces[0].kind | 'af_xpd' is not one of auto, af-xdp, af-packet | did you mean af-xdp?",
    ],
  },
  {
    title: 'queues that are neither auto nor a number',
    edits: [['{ name: ext0,', '{ name: ext0, queues: all,']],
    found: [
      "8:27 interfaces[0].queues | 'all': auto or a number of queues from 1 to 48 is expected | ",
    ],
  },
  {
    title: 'an octet above 255',
    edits: [['address: 10.1.0.100', 'address: 10.1.0.300']],
    found: ['19:14 services[0].address | 10.1.0.300: 300 is not 0–255 | '],
  },
  {
    title: 'an address with three parts',
    edits: [['address: 10.1.0.100', 'address: 10.1.100']],
    found: [
      '19:14 services[0].address | 10.1.100: 3 parts, an IPv4 address has 4 | write it as in 10.1.0.1',
    ],
  },
  {
    title: 'an address with a letter',
    edits: [['address: 10.1.0.100', 'address: 10.1.0.l00']],
    found: ["19:14 services[0].address | 10.1.0.l00: 'l00' is not a number from 0 to 255 | "],
  },
  {
    title: 'an address with a leading zero',
    edits: [['address: 10.1.0.100', 'address: 10.1.0.010']],
    found: ['19:14 services[0].address | 10.1.0.010: 010 has a leading zero | write 10.1.0.10'],
  },
  {
    title: 'an address with a prefix length',
    edits: [['address: 10.1.0.100', 'address: 10.1.0.100/24']],
    found: [
      '19:14 services[0].address | 10.1.0.100/24: an address is expected here, without a prefix length | write 10.1.0.100',
    ],
  },
  {
    title: 'an address of IPv6',
    edits: [['address: 10.1.0.100', 'address: 2001:db8::1']],
    found: [
      '19:14 services[0].address | 2001:db8::1: not an IPv4 address | write it as in 10.1.0.1',
    ],
  },
  {
    title: 'a multicast address',
    edits: [['address: 10.1.0.100', 'address: 224.0.0.1']],
    found: [
      '19:14 services[0].address | 224.0.0.1 is a multicast address, not the address of a host | ',
    ],
  },
  {
    title: 'a loopback address',
    edits: [['10.2.0.11', '127.0.0.1']],
    found: [
      '25:30 services[0].backends[0].address | 127.0.0.1 is a loopback address, not the address of a host | ',
    ],
  },
  {
    title: 'an interface address without a prefix length',
    edits: [['[10.2.0.1/24]', '[10.2.0.1]']],
    found: [
      '9:31 interfaces[1].addresses[0] | 10.2.0.1: the prefix length is missing | write it as in 10.1.0.1/24',
    ],
  },
  {
    title: 'a prefix length above 32',
    edits: [['[10.2.0.1/24]', '[10.2.0.1/33]']],
    found: [
      "9:31 interfaces[1].addresses[0] | 10.2.0.1/33: prefix length '33' is not 0–32 | write it as in 10.1.0.1/24",
    ],
  },
  {
    title: 'a network in the place of an address',
    edits: [['[10.2.0.1/24]', '[10.2.0.0/24]']],
    found: [
      '9:31 interfaces[1].addresses[0] | 10.2.0.0/24 is the network itself, not an address in it | write it as in 10.2.0.1/24',
    ],
  },
  {
    title: 'a broadcast address',
    edits: [['[10.2.0.1/24]', '[10.2.0.255/24]']],
    found: [
      '9:31 interfaces[1].addresses[0] | 10.2.0.255/24 is the broadcast address of its network | ',
    ],
  },
  {
    title: 'a route to a network with host bits',
    edits: [['to: default', 'to: 10.9.1.0/16']],
    found: [
      '12:11 routes[0].to | 10.9.1.0/16: bits are set after the first 16 | write 10.9.0.0/16 for the network, 10.9.1.0/32 for the host',
    ],
  },
  {
    title: 'frames that are no power of two',
    edits: [['frames: 16384', 'frames: 16000']],
    found: ['15:41 limits.frames | 16000 is not a power of two | write 16384'],
  },
  {
    title: 'more connections than record numbers',
    edits: [['connections: 1048576', 'connections: 16777216']],
    found: ['15:24 limits.connections | 16777216 is more than 16777215 | '],
  },
  {
    title: 'more memory than there can be',
    edits: [['connections: 1048576', 'connections: 16777215']],
    found: [
      '15:24 limits.connections | 16777215 connections and 16384 frames do not fit into 2 GiB | with 16384 frames there is room for 12582912 connections',
    ],
  },
  {
    title: 'a duration with an unknown unit',
    edits: [['services:', 'timeouts: { established: 15min }\nservices:']],
    found: [
      '17:26 timeouts.established | 15min is not a duration | write it as in 900s, 15m or 2h',
    ],
  },
  {
    title: 'a duration too long',
    edits: [['services:', 'timeouts: { udp: 200h }\nservices:']],
    found: ['17:18 timeouts.udp | 200h is not between 1s and 168h | '],
  },
  {
    title: 'a duration that is a list',
    edits: [['    port: 80\n', '    port: 80\n    timeouts: { udp: [1] }\n']],
    found: [
      '22:22 services[0].timeouts.udp | a list: a duration is expected, such as 900s, 15m or 2h | ',
    ],
  },
  {
    title: 'two interfaces of one name',
    edits: [['name: int0', 'name: ext0']],
    found: [
      '9:13 interfaces[1].name | interface ext0 exists twice (also entry 1 of the list) | give it another name',
    ],
  },
  {
    title: 'two services of one name',
    edits: [
      [
        'services:',
        'services:\n  - { name: web, address: 10.1.0.101, protocol: tcp, port: 80, backends: [{ name: b, address: 10.2.0.20 }] }',
      ],
    ],
    found: [
      '19:11 services[1].name | service web exists twice (also entry 1 of the list) | give it another name',
    ],
  },
  {
    title: 'two services of one address and port',
    edits: [
      [
        'services:',
        'services:\n  - { name: old, address: 10.1.0.100, protocol: tcp, port: 80, backends: [{ name: b, address: 10.2.0.20 }] }',
      ],
    ],
    found: [
      '22:11 services[1].port | web and old are both tcp 10.1.0.100:80 | change address, protocol or port, or put the backends into one service',
    ],
  },
  {
    title: 'two backends of one name',
    edits: [['name: b2', 'name: b1']],
    found: [
      '26:17 services[0].backends[1].name | backend b1 exists twice (also entry 1 of the list) | give it another name',
    ],
  },
  {
    title: 'two backends of one end point',
    edits: [['10.2.0.12', '10.2.0.11']],
    found: [
      '26:30 services[0].backends[1].address | b2 and b1 are both 10.2.0.11:8080 | keep one, and give it the sum of the weights',
    ],
  },
  {
    title: 'a backend that is a service',
    edits: [['10.2.0.12', '10.1.0.100']],
    found: [
      "26:30 services[0].backends[1].address | 10.1.0.100 is the address of service web: packets would loop | write the server's own address",
    ],
  },
  {
    title: 'a route through a router far away',
    edits: [['via: 10.1.0.254', 'via: 10.3.0.254']],
    found: [
      '12:25 routes[0].via | 10.3.0.254 is on no connected network | connected: 10.1.0.1/24, 10.2.0.1/24',
    ],
  },
  {
    title: 'a route through an own address',
    edits: [['via: 10.1.0.254', 'via: 10.1.0.1']],
    found: ['12:25 routes[0].via | 10.1.0.1 is the own address of ext0, not of a router | '],
  },
  {
    title: 'a route through nothing',
    edits: [[', via: 10.1.0.254', '']],
    found: [
      '12:5 routes[0] | a route needs via, interface or type | add via: with the address of the router',
    ],
  },
  {
    title: 'a route through an unknown interface',
    edits: [['via: 10.1.0.254', 'interface: ext1']],
    found: [
      "12:31 routes[0].interface | there is no interface 'ext1' in this file | did you mean ext0?",
    ],
  },
  {
    title: 'a route through the wrong interface',
    edits: [['via: 10.1.0.254', 'via: 10.1.0.254, interface: int0']],
    found: [
      '12:25 routes[0].via | 10.1.0.254 is on the network of ext0, not of int0 | leave interface out: via says enough',
    ],
  },
  {
    title: 'a backend without a way to it',
    edits: [
      ['to: default', 'to: 10.8.0.0/16'],
      ['10.2.0.12', '10.9.0.12'],
    ],
    found: [
      '26:30 services[0].backends[1].address | no connected network and no route leads to 10.9.0.12 | add a route, or an interface in its network',
    ],
  },
  {
    title: 'routes that lead nowhere, whatever the interfaces are',
    edits: [
      ['10.2.0.1/24', '10.2.0.1/44'],
      ['{ to: default, via: 10.1.0.254 }', '{ to: default }\n  - { to: defualt, interface: ext9 }'],
    ],
    found: [
      "9:31 interfaces[1].addresses[0] | 10.2.0.1/44: prefix length '44' is not 0–32 | write it as in 10.1.0.1/24",
      '12:5 routes[0] | a route needs via, interface or type | add via: with the address of the router',
      '13:11 routes[1].to | defualt is no network | write default, or a network as in 10.1.0.0/24',
      "13:31 routes[1].interface | there is no interface 'ext9' in this file | did you mean ext0?",
    ],
  },
  {
    title: 'addresses that belong to no host',
    edits: [
      ['via: 10.1.0.254', 'via: 10.1.0.255'],
      ['10.1.0.100', '10.1.0.0'],
      ['10.2.0.11', '10.2.0.255'],
    ],
    found: [
      '12:25 routes[0].via | 10.1.0.255 is the broadcast address of 10.1.0.1/24, not the address of a host | ',
      '19:14 services[0].address | 10.1.0.0 is the network address of 10.1.0.1/24, not the address of a host | ',
      '25:30 services[0].backends[0].address | 10.2.0.255 is the broadcast address of 10.2.0.1/24, not the address of a host | ',
    ],
  },
  {
    title: 'weir as its own backend',
    edits: [['10.2.0.12', '10.2.0.1']],
    found: [
      "26:30 services[0].backends[1].address | 10.2.0.1 is the own address of int0: weir is no server | write the server's own address",
    ],
  },
  {
    title: 'interfaces in overlapping networks',
    edits: [
      ['10.2.0.1/24', '10.1.0.2/16'],
      ['10.2.0.11', '10.1.0.11'],
      ['10.2.0.12', '10.1.0.12'],
    ],
    found: [
      '9:31 interfaces[1].addresses[0] | 10.1.0.2/16 overlaps 10.1.0.1/24 of ext0 | put the two interfaces into different networks',
    ],
  },
  {
    title: 'an address on two interfaces',
    edits: [['[10.2.0.1/24]', '[10.2.0.1/24, 10.1.0.1/24]']],
    found: [
      '9:44 interfaces[1].addresses[1] | 10.1.0.1/24: ext0 has this address already | give each interface its own address',
    ],
  },
  {
    title: 'dsr with another port',
    edits: [
      ['nat #', 'dsr #'],
      ['port: 8080, weight: 1 }\n      - { name: b2', 'weight: 1 }\n      - { name: b2'],
    ],
    found: [
      '26:47 services[0].backends[1].port | port 8080: with dsr no port is rewritten | leave port out or write 80, or use forwarding: nat',
    ],
  },
  {
    title: 'dsr to a backend behind a router',
    edits: [
      ['nat #', 'dsr #'],
      [', port: 8080', ''],
      [', port: 8080', ''],
      ['10.2.0.12', '10.9.0.12'],
    ],
    found: [
      '26:30 services[0].backends[1].address | 10.9.0.12 is on no connected network: dsr only rewrites the MAC address | connect its network to an interface, or use forwarding: nat',
    ],
  },
  {
    title: 'processors far beyond the CPUs',
    edits: [['switching: 2', 'switching: 9']],
    found: [
      '14:26 processors.switching | 9 switching processors are too many for 2 CPUs | write 1',
    ],
  },
  {
    title: 'CPUs for another number of processors',
    edits: [['idle: adaptive', 'cpus: [1]']],
    found: [
      '14:35 processors.cpus | 1 CPU for 2 switching processors | name one CPU for each switching processor',
    ],
  },
  {
    title: 'a CPU that is not there, and one twice',
    edits: [['switching: 2, idle: adaptive', 'switching: 3, cpus: [1, 1, 2]']],
    found: [
      '14:39 processors.cpus[1] | CPU 1 is named twice | name another CPU',
      '14:42 processors.cpus[2] | weir may not run on CPU 2 | this machine has CPU 0 to 1',
    ],
  },
  {
    title: 'a processor that is not there',
    edits: [['{ name: ext0,', '{ name: ext0, processor: 2,']],
    found: [
      '8:30 interfaces[0].processor | there is no switching processor 2: there are 2, counted from 0 | write 0 to 1',
    ],
  },
  {
    title: 'a key that exists twice',
    edits: [['    port: 80\n', '    port: 80\n    port: 81\n']],
    found: ['22:5  | this key exists twice here | remove one of the two'],
  },
  {
    title: 'an alias of nothing',
    edits: [['name: web', 'name: *web']],
    found: [
      '18:11  | no anchor &web stands before this alias | put quotes around a text that begins with *',
    ],
  },
  {
    title: 'a tab',
    edits: [['  - { to', '\t- { to']],
    found: ['12:1  | not valid YAML: Tabs are not allowed as indentation | indent with spaces'],
  },
  {
    title: 'a bracket left open',
    edits: [['[10.2.0.1/24]', '[10.2.0.1/24']],
    found: [
      '9:43  | not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ] | entries of one list begin in the same column; every [ and { is closed',
      '11:1  | not valid YAML: Flow map in block collection must be sufficiently indented and end with a } | entries of one list begin in the same column; every [ and { is closed',
    ],
  },
  {
    title: 'many faults of all sorts at once',
    edits: [
      ['to: default, via: 10.1.0.254', 'to: default, via: 10.3.0.254'],
      ['switching: 2', 'switching: none'],
      ['limits:', 'limit:'],
      ['address: 10.1.0.100', 'adress: 10.1.0.100'],
      ['protocol: tcp', 'protocol: tpc'],
      ['port: 80\n', 'port: 99999\n'],
      ['weight: 1 }\n', 'wieght: 1 }\n'],
      ['name: b2, address: 10.2.0.12', 'name: b1, address: 10.2.0.1200'],
    ],
    found: [
      '12:25 routes[0].via | 10.3.0.254 is on no connected network | connected: 10.1.0.1/24, 10.2.0.1/24',
      "14:26 processors.switching | a number is expected, not 'none' | ",
      "15:1 limit | unknown key 'limit' | did you mean limits?",
      "19:5 services[0].adress | unknown key 'adress' | did you mean address?",
      "20:15 services[0].protocol | 'tpc' is not one of tcp, udp | did you mean tcp?",
      '21:11 services[0].port | 99999 is more than 65535 | ',
      "25:53 services[0].backends[0].wieght | unknown key 'wieght' | did you mean weight?",
      '26:17 services[0].backends[1].name | backend b1 exists twice (also entry 1 of the list) | give it another name',
      '26:30 services[0].backends[1].address | 10.2.0.1200: 1200 is not 0–255 | ',
    ],
  },
];

const WARNINGS: Row[] = [
  {
    title: "a service on an interface's own address",
    edits: [['address: 10.1.0.100', 'address: 10.1.0.1']],
    found: [
      '19:14 services[0].address | 10.1.0.1 is also the own address of ext0 | an address of its own lets the service move to another machine',
    ],
  },
  {
    title: 'weights that are all 0',
    edits: [
      ['weight: 1', 'weight: 0'],
      ['weight: 1', 'weight: 0'],
    ],
    found: [
      '25:7 services[0].backends | all weights are 0: the service takes no new connections | give one backend a weight of 1 or more',
    ],
  },
  {
    title: 'two services that share a backend',
    edits: [
      [
        'services:',
        'services:\n  - { name: old, address: 10.1.0.101, protocol: tcp, port: 81, backends: [{ name: b, address: 10.2.0.11, port: 8080 }] }',
      ],
    ],
    found: [
      '26:30 services[1].backends[0].address | tcp 10.2.0.11:8080 is also a backend of old: a client that uses the same port for both is refused | let the server listen on a port of its own for each service',
    ],
  },
  {
    title: 'more processors than CPUs',
    edits: [['switching: 2', 'switching: 3']],
    found: ['14:26 processors.switching | 3 switching processors share 2 CPUs | write 1'],
  },
  {
    title: 'busy processors on all CPUs',
    edits: [['adaptive', 'busy']],
    found: [
      '14:35 processors.idle | 2 busy switching processors leave none of 2 CPUs to the control processor | use idle: adaptive, or switching: 1',
    ],
  },
  {
    title: 'busy processors that share CPUs',
    edits: [['switching: 2, idle: adaptive', 'switching: 3, idle: busy']],
    found: [
      '14:26 processors.switching | 3 switching processors share 2 CPUs | write 1',
      '14:35 processors.idle | 3 busy switching processors would take turns on 2 CPUs | use idle: adaptive',
    ],
  },
  {
    title: 'more processors than queues',
    edits: [
      ['{ name: ext0,', '{ name: ext0, processor: 0,'],
      ['{ name: int0,', '{ name: int0, processor: 0,'],
    ],
    found: [
      '14:26 processors.switching | 2 switching processors, but queues for 1 only: the others idle | write 1, or give the interfaces more queues',
    ],
  },
  {
    title: 'an unknown tag',
    edits: [['name: web', 'name: !what web']],
    found: ['18:11  | Unresolved tag: !what | '],
  },
];

/** What looks like a mistake and is none. */
const GOOD: Omit<Row, 'found'>[] = [
  {
    title: 'two networks on one interface, one within the other',
    edits: [['[10.2.0.1/24]', '[10.2.0.1/24, 10.2.0.2/16]']],
  },
  {
    title: 'a backend behind a route that is not the default',
    edits: [
      ['to: default', 'to: 10.9.0.0/16'],
      ['10.2.0.12', '10.9.0.12'],
    ],
  },
  {
    title: 'dsr services that share a backend: their replies do not come by',
    edits: [
      ['nat #', 'dsr #'],
      [', port: 8080', ''],
      [', port: 8080', ''],
      [
        'services:',
        'services:\n  - { name: old, address: 10.1.0.101, protocol: tcp, port: 80, forwarding: dsr, backends: [{ name: b, address: 10.2.0.11 }] }',
      ],
    ],
  },
  {
    title: 'one address and port for TCP and UDP, with the same backend',
    edits: [
      [
        'services:',
        'services:\n  - { name: quic, address: 10.1.0.100, protocol: udp, port: 80, backends: [{ name: b, address: 10.2.0.11, port: 8080 }] }',
      ],
    ],
  },
  {
    title: 'backends of one name in different services',
    edits: [
      [
        'services:',
        'services:\n  - { name: tls, address: 10.1.0.100, protocol: tcp, port: 443, backends: [{ name: b1, address: 10.2.0.11 }] }',
      ],
    ],
  },
  { title: 'one weight of 0', edits: [['weight: 1', 'weight: 0']] },
  { title: 'a route without a router', edits: [['via: 10.1.0.254', 'interface: ext0']] },
  {
    title: 'a processor for each interface and its CPU',
    edits: [
      ['{ name: ext0,', '{ name: ext0, processor: 0,'],
      ['{ name: int0,', '{ name: int0, queues: 1, processor: 1,'],
      ['idle: adaptive', 'cpus: [1, 0]'],
    ],
  },
];

describe('parseConfiguration', () => {
  it('knows CPUs by their numbers where it is given them', () => {
    const text = example.replace('idle: adaptive', 'cpus: [2, 0]');
    const { faults } = parseConfiguration(text, 'weir.yaml', [2, 3]);
    const found = faults.map(({ path, message, suggestion }) => [path, message, suggestion]);
    const refused = ['processors.cpus[1]', 'weir may not run on CPU 0', 'weir may run on CPU 2, 3'];
    expect(found).toEqual([refused]);
  });

  it.each(GOOD)('has nothing against $title', ({ edits }) => {
    const { faults, warnings } = parseConfiguration(edited(edits), 'x.yaml', 2);
    expect([...faults, ...warnings].map(show)).toEqual([]);
  });

  it('does not repeat as a warning what is a fault', () => {
    const text = edited([['10.2.0.12', '10.2.0.11']]);
    expect(parseConfiguration(text, 'x.yaml', 2).warnings.map(show)).toEqual([]);
  });

  it.each(FAULTS)('finds $title', ({ edits, found }) => {
    const result = parseConfiguration(edited(edits), 'x.yaml', 2);
    expect(result.faults.map(show)).toEqual(found);
    expect(result.configuration).toBeUndefined();
    for (const { file } of result.faults) expect(file).toBe('x.yaml');
  });

  it.each(WARNINGS)('warns of $title', ({ edits, found }) => {
    const result = parseConfiguration(edited(edits), 'x.yaml', 2);
    expect(result.warnings.map(show)).toEqual(found);
    expect(result.faults).toEqual([]);
    expect(result.configuration).toBeDefined();
  });

  it.each([
    ['', '1:1  | the file holds no configuration | start from examples/two-interfaces.yaml'],
    [
      '# nothing',
      '1:1  | the file holds no configuration | start from examples/two-interfaces.yaml',
    ],
    ['42', '1:1  | a map of keys and values is expected, not 42 | '],
    ['[]', '1:1  | a map of keys and values is expected, not a list | '],
    [
      'a'.repeat(5_000_000),
      '1:1  | the file is larger than 2 MiB | start from examples/two-interfaces.yaml',
    ],
  ])('refuses what is no configuration at all (%#)', (text, found) => {
    const [first] = parseConfiguration(text, 'x.yaml').faults;
    expect(show(first)).toBe(found);
  });

  it.each<[string, [string, string][]]>([
    ['a list', [['name: web', '[name]: web']]],
    ['binary', [['name: web', '!!binary aGk=: web']]],
    [
      'an alias of a list',
      [
        ['[10.2.0.1/24]', '&a [10.2.0.1/24]'],
        ['name: web', '*a : web'],
      ],
    ],
  ])('refuses a key that is %s', (_, edits) => {
    const { faults } = parseConfiguration(edited(edits), 'x.yaml');
    expect(faults.map(({ line, message }) => `${line}: ${message}`)).toEqual([
      '18: a list, map or binary value cannot be a key',
    ]);
  });

  it('refuses aliases that multiply', () => {
    const levels = Array.from({ length: 8 }, (_, i) => {
      const items = new Array(9).fill(i === 0 ? 'x' : `*a${i - 1}`).join(', ');
      return `a${i}: &a${i} [${items}]`;
    });
    const { faults } = parseConfiguration(levels.join('\n'), 'x.yaml');
    expect(faults.map(({ message }) => message)).toEqual(['the aliases expand to too much']);
  });

  it('finds the line of a fault behind an alias', () => {
    const text = edited([
      [
        '{ name: b1, address: 10.2.0.11, port: 8080, weight: 1 }',
        '&b { name: b1, address: 10.2.0.300 }',
      ],
      ['{ name: b2, address: 10.2.0.12, port: 8080, weight: 1 }', '*b'],
    ]);
    expect(parseConfiguration(text, 'x.yaml').faults.map(show)).toEqual([
      '25:20 services[0].backends[1].name | backend b1 exists twice (also entry 1 of the list) | give it another name',
      '25:33 services[0].backends[0].address | 10.2.0.300: 300 is not 0–255 | ',
      '25:33 services[0].backends[1].address | 10.2.0.300: 300 is not 0–255 | ',
    ]);
  });

  it('reads the example without a word against it', () => {
    const { configuration, faults, warnings } = parseConfiguration(example, 'x.yaml', 4);
    expect([...faults, ...warnings]).toEqual([]);
    expect(configuration?.interfaces[0]).toEqual({
      name: 'ext0',
      addresses: ['10.1.0.1/24'],
      kind: 'auto',
      mode: 'dedicated',
      queues: 'auto',
    });
    expect(configuration?.processors).toEqual({
      switching: 2,
      idle: 'adaptive',
      isolate: 'auto',
    });
    expect(configuration?.['rate-limits']).toMatchObject({ resets: 1000, 'echo-replies': 1000 });
  });

  it('fills in what depends on other values, and full names for aliases', () => {
    const text = edited([
      ['services:', 'timeouts: { established: 2h, udp: 30 }\nservices:'],
      ['    port: 80\n', '    port: 80\n    timeouts: { udp: 15m }\n'],
      ['weighted-round-robin #', 'mh #'],
      ['port: 8080, weight: 1', 'weight: 3'],
    ]);
    const service = parseConfiguration(text, 'x.yaml').configuration?.services[0];
    expect(service?.scheduler).toBe('maglev');
    expect(service?.backends.map(({ port, weight }) => [port, weight])).toEqual([
      [80, 3],
      [8080, 1],
    ]);
    expect(service?.timeouts).toMatchObject({ established: 7200, udp: 900, 'syn-sent': 120 });
  });

  it('needs no more than an interface', () => {
    const text = 'interfaces: [{ name: eth0, addresses: [192.0.2.1/31] }]';
    const { configuration } = parseConfiguration(text, 'x.yaml', 1);
    expect(configuration?.processors.switching).toBe(1);
    expect(configuration?.limits).toEqual({ connections: 1_048_576, frames: 16_384 });
    expect(configuration?.services).toEqual([]);
  });

  it.each(
    readdirSync(EXAMPLES).filter((name) => /^(?!agent|resource-manager).*\.ya?ml$/.test(name)),
  )('reads examples/%s', (name) => {
    const text = readFileSync(new URL(name, EXAMPLES), 'utf8');
    expect(parseConfiguration(text, name).faults.map(show)).toEqual([]);
  });
});
