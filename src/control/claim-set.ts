// What a configuration makes weir's on interfaces that stay the kernel's, as claims (sys/claims-map.ts):
// addresses that are weir's alone, the ports of services and applications, the servers' ends of
// connections. Pure. An address may be both, a service's and the kernel's: then only the ports are
// weir's. Where addresses of several kinds meet, the control host's are weir's (the kernel has them on
// the pseudo-network device only), then what the kernel has is the kernel's, then the rest is weir's.

import type { Match } from '../base/application-plan.ts';
import {
  ADDRESS_IS_KERNELS,
  ADDRESS_IS_WEIRS,
  CLAIM_ADDRESS,
  CLAIM_ENDPOINT,
  CLAIM_SERVICE,
  claimKey,
} from '../sys/claims-map.ts';
import type { ClaimEntry } from '../sys/claims-table.ts';
import { PROTOCOL_TCP, PROTOCOL_UDP, parseAddress } from '../wire/ipv4.ts';
import { backendKey, type Ids } from './compile-configuration.ts';
import { mediaRelaySettings } from './config/media-relay-checks.ts';
import type { Configuration } from './config/schema.ts';
import { portRange } from './config/schema-applications.ts';

const ADDRESS_KEY = claimKey(CLAIM_ADDRESS, 0, 0);
const DNS_PORT = 53;

/** A claim, and the numbers of the backends whose connections need it. */
interface Claim extends ClaimEntry {
  readonly backends: ReadonlySet<number>;
}

/** Claims by address and key. */
export class ClaimSet {
  private readonly claims = new Map<string, Claim>();

  /** What was there under the same name keeps its flags, and has these backends as well. */
  add(address: number, key: number, flags: number, backends: Iterable<number> = []): void {
    const name = nameOf({ address, key, flags });
    const known = this.claims.get(name);
    this.claims.set(name, {
      address,
      key,
      flags: known?.flags ?? flags,
      backends: new Set([...(known?.backends ?? []), ...backends]),
    });
  }

  get size(): number {
    return this.claims.size;
  }

  values(): Claim[] {
    return [...this.claims.values()];
  }

  /** The same for sets that claim the same. */
  text(): string {
    const lines = this.values().map((claim) => `${nameOf(claim)} ${claim.flags}`);
    return lines.sort().join('\n');
  }
}

function nameOf({ address, key }: ClaimEntry): string {
  return `${address} ${key}`;
}

function withoutPrefix(cidr: string): number {
  return parseAddress(cidr.split('/')[0]);
}

/** The claims of a configuration, with the kernel's addresses as they are now. */
export function claimsOf(
  configuration: Configuration,
  ids: Ids,
  kernels: readonly number[],
): ClaimSet {
  const set = new ClaimSet();
  // The first flags of an address count.
  for (const cidr of configuration.control?.addresses ?? []) {
    set.add(withoutPrefix(cidr), ADDRESS_KEY, ADDRESS_IS_WEIRS);
  }
  const hosts = configuration.interfaces
    .filter(({ mode }) => mode === 'shared')
    .flatMap(({ addresses }) => addresses.map(withoutPrefix));
  for (const address of [...hosts, ...kernels]) set.add(address, ADDRESS_KEY, ADDRESS_IS_KERNELS);
  for (const service of configuration.services) addService(set, service, ids);
  for (const application of configuration.applications) {
    addApplication(set, application, hosts, kernels);
  }
  return set;
}

function addService(
  set: ClaimSet,
  { name, address, port, backends, forwarding, ...service }: Configuration['services'][number],
  ids: Ids,
): void {
  const protocol = service.protocol === 'tcp' ? PROTOCOL_TCP : PROTOCOL_UDP;
  const numbers = backends.flatMap((backend) => {
    return ids.backends.get(backendKey(name, backend.name)) ?? [];
  });
  set.add(parseAddress(address), ADDRESS_KEY, ADDRESS_IS_WEIRS, numbers);
  set.add(parseAddress(address), claimKey(CLAIM_SERVICE, protocol, port), 0, numbers);
  if (forwarding !== 'nat') return;
  for (const backend of backends) {
    const number = ids.backends.get(backendKey(name, backend.name));
    const key = claimKey(CLAIM_ENDPOINT, protocol, backend.port);
    set.add(parseAddress(backend.address), key, 0, number === undefined ? [] : [number]);
  }
}

/**
 * An application's own addresses, and ports that it matches on those of the host. What a module of others
 * matches by itself is not known here: there it needs `match`.
 * @param hosts addresses of the shared interfaces
 * @param kernels all addresses that the kernel has
 */
function addApplication(
  set: ClaimSet,
  application: Configuration['applications'][number],
  hosts: readonly number[],
  kernels: readonly number[],
): void {
  for (const address of application.addresses) {
    set.add(parseAddress(address), ADDRESS_KEY, ADDRESS_IS_WEIRS);
  }
  for (const { protocol, address, port } of matchesOf(application)) {
    if (port === undefined || protocol === 'icmp') continue;
    const [first, last] = typeof port === 'number' ? [port, port] : port;
    // Of what is weir's alone every port is taken anyway; a network is no address.
    const owned = address === undefined ? hosts : [withoutPrefix(address)];
    for (const own of owned.filter((each) => hosts.includes(each) || kernels.includes(each))) {
      for (let each = first; each <= last; each++) {
        if (protocol !== 'udp') set.add(own, claimKey(CLAIM_SERVICE, PROTOCOL_TCP, each), 0);
        if (protocol !== 'tcp') set.add(own, claimKey(CLAIM_SERVICE, PROTOCOL_UDP, each), 0);
      }
    }
  }
}

/** What an application sees: by the configuration, or as those that are part of weir say themselves. */
function matchesOf({
  module,
  match,
  options,
}: Configuration['applications'][number]): readonly Match[] {
  if (match.length > 0) {
    return match
      .filter(({ address }) => address === undefined || !address.includes('/'))
      .map(({ port, ...rest }) => ({
        ...rest,
        ...(port === undefined ? {} : { port: portRange(port) }),
      }));
  }
  if (module === 'dns') {
    const port = typeof options.port === 'number' ? options.port : DNS_PORT;
    const address = typeof options.address === 'string' ? { address: options.address } : {};
    return [{ protocol: 'udp', port, ...address }];
  }
  const relay = module === 'media-relay' ? mediaRelaySettings(options) : undefined;
  const port = [relay?.firstPort ?? 0, relay?.lastPort ?? 0] as const;
  return (relay?.interfaces ?? []).map(({ address }) => ({ protocol: 'udp', address, port }));
}
