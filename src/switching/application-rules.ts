// From what an application says it wants to see (apps/contract.ts: Match) to words that are compared for
// every packet while there is an application. Done once, when the application is loaded; what is wrong is
// an error with the words of whoever wrote the application.
//
//   rule: 0 protocol, 0 = TCP, UDP or ICMP   1 destination network   2 its mask   3 first port   4 last port

import type { Application, Matches } from '../apps/contract.ts';
import type { ApplicationPlan, Match } from '../base/application-plan.ts';
import * as ipv4 from '../wire/ipv4.ts';

export const RULE_WORDS = 5;
/** Most that one application may have. */
const RULES_MAX = 64;
const PORT_MAX = 65_535;
const PROTOCOLS: Readonly<Record<string, number>> = {
  udp: ipv4.PROTOCOL_UDP,
  tcp: ipv4.PROTOCOL_TCP,
  icmp: ipv4.PROTOCOL_ICMP,
};

/**
 * The rules of an application, RULE_WORDS each: of the configuration, if it has any, else its own.
 * @throws Error when a match says nothing that can be
 */
export function compileMatches(application: Application, plan: ApplicationPlan): Int32Array {
  const { match } = application;
  const own: Matches = typeof match === 'function' ? match(plan.options) : match;
  const list = plan.match.length > 0 ? plan.match : ([own].flat() as Match[]);
  if (list.length > RULES_MAX) throw new Error(`match has more than ${RULES_MAX} entries`);
  return Int32Array.from(list.flatMap((each) => compileMatch(each, plan)));
}

function compileMatch(match: Match, plan: ApplicationPlan): number[] {
  if (typeof match !== 'object' || match === null) throw new Error('match is not an object');
  const { protocol, address, port, service } = match;
  if (service !== undefined) {
    const found = plan.services.find(({ name }) => name === service);
    if (found === undefined) {
      throw new Error(`match: service ${service} is not listed under services of ${plan.name}`);
    }
    return [found.protocol, found.address | 0, -1, found.port, found.port];
  }
  const number = protocol === undefined ? 0 : PROTOCOLS[protocol];
  if (number === undefined) throw new Error(`match: protocol ${protocol} is not udp, tcp or icmp`);
  const [network, mask] = address === undefined ? [0, 0] : networkOf(address);
  const [first, last] = portsOf(port);
  return [number, network, mask, first, last];
}

function networkOf(text: string): [number, number] {
  const [address, length = '32'] = String(text).split('/');
  const bits = /^\d{1,2}$/.test(length) ? Number(length) : 33;
  if (bits > 32) throw new Error(`match: ${text} is no address and no network`);
  const mask = bits === 0 ? 0 : -1 << (32 - bits);
  return [ipv4.parseAddress(address) & mask, mask];
}

function portsOf(port: Match['port']): [number, number] {
  if (port === undefined) return [0, PORT_MAX];
  const [first, last] = typeof port === 'number' ? [port, port] : port;
  const isPort = (value: number) => Number.isInteger(value) && value >= 0 && value <= PORT_MAX;
  if (!isPort(first) || !isPort(last) || first > last) {
    throw new Error(`match: port ${String(port)} is no port and no range of ports`);
  }
  return [first, last];
}
