// The options of the application `dns` (src/apps/dns), checked with the file, so that `weir check` tells
// what is wrong and where. The application checks them again when it is set up: this is for people.
// Invariant: options without a finding here are ones that the application can be set up with.

import { z } from 'zod';
import { encodeName, lowered, nameText } from '../../wire/dns-names.ts';
import { encodeData, RECORD_TYPES } from '../../wire/dns-records.ts';
import type { Path } from './faults.ts';
import { nearestWord } from './nearest-word.ts';
import type { CheckResult } from './parts.ts';
import { hostAddress, port } from './schema-values.ts';

const NAME = /^(@|(\*|[A-Za-z0-9_-]{1,63})(\.[A-Za-z0-9_-]{1,63})*\.?)$/;
const domain = z.string().max(254).regex(NAME, { error: 'a name of the DNS is expected' });
const ttl = z.int().min(0).max(604_800);

const recordShape = {
  name: domain.describe("The name, relative to the zone's; @ is the zone itself."),
  type: z.enum(['A', 'AAAA', 'CNAME', 'TXT', 'MX', 'NS', 'SRV', 'PTR', 'CAA']).optional(),
  value: z.union([z.string(), z.array(z.string()).min(1).max(64)]).optional(),
  service: z.string().optional(),
  answers: z.int().min(1).max(16).optional(),
  ttl: ttl.optional(),
  ipv6: z.record(z.string(), z.string()).optional(),
};
const zoneShape = {
  name: domain,
  ttl: ttl.optional(),
  'negative-ttl': ttl.optional(),
  nameservers: z.array(domain).min(1).max(8),
  mailbox: domain.optional(),
  serial: z.int().min(0).max(0xffff_ffff).optional(),
  records: z.array(z.strictObject(recordShape)).max(65_536),
};
const optionsShape = z.strictObject({
  address: hostAddress('10.1.0.53').optional(),
  port: port.optional(),
  'rate-limit': z
    .strictObject({
      answers: z.int().min(0).max(10_000).optional(),
      prefix: z.int().min(8).max(32).optional(),
    })
    .optional(),
  zones: z.array(z.strictObject(zoneShape)).min(1).max(256),
});

/** Services that records of the options name: the application asks for their backends. */
export function servicesOfDns(options: Readonly<Record<string, unknown>>): string[] {
  const { data } = optionsShape.safeParse(options);
  const records = data?.zones.flatMap((zone) => zone.records) ?? [];
  return [...new Set(records.flatMap(({ service }) => (service === undefined ? [] : [service])))];
}

/** Adds what is wrong with the options of a `dns` application. */
export function dnsFindings(
  options: Readonly<Record<string, unknown>>,
  application: Path,
  services: readonly string[],
  { faults }: CheckResult,
): void {
  const path = [...application, 'options'];
  const { data, error } = optionsShape.safeParse(options);
  for (const issue of error?.issues ?? []) {
    const place = issue.path.map((each) => (typeof each === 'symbol' ? String(each) : each));
    const suggestion = 'see docs/reference/dns.md';
    faults.push({ path: [...path, ...place], message: issue.message, suggestion });
  }
  data?.zones.forEach((zone, z) => {
    zoneFindings(zone, [...path, 'zones', z], data.zones.slice(0, z), faults);
    zone.records.forEach(({ service, type, value }, r) => {
      const at = [...path, 'zones', z, 'records', r];
      if ((service === undefined) === (value === undefined)) {
        const message = 'a record has either a service or type and value';
        faults.push({ path: at, message, suggestion: '{ name: www, type: A, value: 192.0.2.1 }' });
      } else if (value !== undefined && type === undefined) {
        faults.push({ path: at, message: 'the record has no type', suggestion: 'such as type: A' });
      }
      if (service === undefined || services.includes(service)) return;
      const nearest = nearestWord(service, services);
      const suggestion = nearest === undefined ? '' : `did you mean ${nearest}?`;
      faults.push({
        path: [...at, 'service'],
        message: `there is no service ${service}`,
        suggestion,
      });
    });
  });
}

type Zone = z.infer<typeof optionsShape>['zones'][number];

/** What only the encoding of names and values shows, and what records of one zone say of each other. */
function zoneFindings(
  zone: Zone,
  path: Path,
  before: readonly Zone[],
  faults: CheckResult['faults'],
): void {
  const suggestion = 'see docs/reference/dns.md';
  const tell = (message: string, ...place: Path) =>
    faults.push({ path: [...path, ...place], message, suggestion });
  const origin = encoded(zone.name, Uint8Array.of(0));
  if (typeof origin === 'string') {
    tell(origin, 'name');
    return;
  }
  const text = nameText(origin);
  if (before.some(({ name }) => textOf(name) === text))
    tell(`zone ${zone.name} exists twice`, 'name');
  for (const [i, name] of zone.nameservers.entries()) {
    const fault = encoded(name, origin);
    if (typeof fault === 'string') tell(fault, 'nameservers', i);
  }
  const kinds = new Map<string, string[]>([[text, ['SOA', 'NS']]]);
  for (const [r, { name, type = 'service', value }] of zone.records.entries()) {
    const full = encoded(name, origin);
    const owner = typeof full === 'string' ? '' : nameText(full);
    if (typeof full === 'string') tell(full, 'records', r, 'name');
    else if (owner !== text && !owner.endsWith(`.${text}`)) {
      tell(`${owner} is not in the zone`, 'records', r, 'name');
    }
    if (type === 'NS' && owner !== text) {
      tell('parts of a zone cannot be given to other name servers', 'records', r, 'type');
    }
    const others = kinds.get(owner) ?? [];
    if (others.includes('CNAME') || (type === 'CNAME' && others.length > 0)) {
      tell('a name with a CNAME has nothing else (RFC 1034)', 'records', r);
    }
    kinds.set(owner, [...others, type]);
    for (const each of type === 'service' ? [] : [value ?? []].flat()) {
      const fault = faultOf(() => encodeData(RECORD_TYPES[type], each, origin));
      if (fault !== undefined) tell(fault, 'records', r, 'value');
    }
  }
}

/** The name's bytes in lower case, or why it has none. */
function encoded(name: string, origin: Uint8Array): Uint8Array | string {
  let bytes = origin;
  const fault = faultOf(() => {
    bytes = lowered(encodeName(name, origin));
  });
  return fault ?? bytes;
}

function textOf(zoneName: string): string {
  const bytes = encoded(zoneName, Uint8Array.of(0));
  return typeof bytes === 'string' ? bytes : nameText(bytes);
}

function faultOf(work: () => void): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
