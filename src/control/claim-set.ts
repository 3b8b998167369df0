// What a configuration makes weir's on interfaces that stay the kernel's, as claims (sys/claims-map.ts):
// addresses that are weir's alone, the ports of services and applications, the servers' ends of
// connections. Pure. An address may be both, a service's and the kernel's: then only the ports are
// weir's. Where addresses of several kinds meet, the control host's are weir's (the kernel has them on
// the pseudo-network device only), then what the kernel has is the kernel's, then the rest is weir's.

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
  for (const application of configuration.applications) addApplication(set, application, hosts);
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
 * An application's own addresses, and ports on those of the host. What a module matches by itself is
 * not known here: on an address of the host it needs `match`, but for the DNS application.
 * @param hosts addresses of the shared interfaces
 */
function addApplication(
  set: ClaimSet,
  { module, addresses, match, options }: Configuration['applications'][number],
  hosts: readonly number[],
): void {
  for (const address of addresses) set.add(parseAddress(address), ADDRESS_KEY, ADDRESS_IS_WEIRS);
  const isDns = module === 'dns' && match.length === 0;
  const matches = isDns
    ? [{ protocol: 'udp' as const, address: options.address, port: options.port ?? DNS_PORT }]
    : match;
  for (const { protocol, address, port } of matches) {
    if (typeof port !== 'number' && typeof port !== 'string') continue;
    if (protocol === 'icmp') continue;
    const range = portRange(port);
    const [first, last] = typeof range === 'number' ? [range, range] : range;
    for (const own of typeof address === 'string' ? alone(address) : hosts) {
      for (let each = first; each <= last; each++) {
        if (protocol !== 'udp') set.add(own, claimKey(CLAIM_SERVICE, PROTOCOL_TCP, each), 0);
        if (protocol !== 'tcp') set.add(own, claimKey(CLAIM_SERVICE, PROTOCOL_UDP, each), 0);
      }
    }
  }
}

/** A network is no address: what of it is weir's alone is taken anyway. */
function alone(address: string): number[] {
  return address.includes('/') ? [] : [parseAddress(address)];
}
