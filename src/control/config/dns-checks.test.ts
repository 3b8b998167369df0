// Goal: what `weir check` passes, the application can be set up with (zone-compiler.ts), and each fault is
// told at its place.

import { describe, expect, it } from 'vitest';
import { compileZones, type ZoneOptions } from '../../apps/dns/zone-compiler.ts';
import type { Fault } from './faults.ts';
import { parseConfiguration } from './parse.ts';

const RECORD = { name: 'www', type: 'A', value: '192.0.2.1' };

function faultsOf(zones: object[], rest: object = {}): readonly Fault[] {
  const interfaces = [{ name: 'ext0', addresses: ['10.1.0.1/24'] }];
  const applications = [{ name: 'names', module: 'dns', options: { zones, ...rest } }];
  return parseConfiguration(JSON.stringify({ interfaces, applications }), 'f').faults;
}

const zoneOf = (...records: object[]) => ({ name: 'a.b', nameservers: ['ns1'], records });

describe('options of the name server', () => {
  it('that can be are passed', () => {
    const records = [
      RECORD,
      { name: '*', type: 'TXT', value: ['one', 'two'] },
      { name: '*.sub', type: 'CNAME', value: 'www' },
      { name: '@', type: 'CAA', value: '0 iodef mailto:x@a.b' },
      { name: 'x.a.b.', type: 'SRV', value: '1 2 3 www' },
    ];
    expect(faultsOf([zoneOf(...records)])).toEqual([]);
  });

  const wrong: [object, string, RegExp][] = [
    [{ ...RECORD, value: '192.0.2' }, 'value', /192\.0\.2/],
    [{ ...RECORD, type: 'AAAA', value: '1::2::3' }, 'value', /no IPv6 address/],
    [{ ...RECORD, type: 'MX', value: 'mail' }, 'value', /a number and a name/],
    [{ ...RECORD, type: 'SRV', value: '1 2 70000 x' }, 'value', /between 0 and 65535/],
    [{ ...RECORD, type: 'CAA', value: '300 issue x' }, 'value', /flags, a tag/],
    [{ ...RECORD, type: 'CNAME', value: 'x..y' }, 'value', /no name of the DNS/],
    [{ ...RECORD, name: 'x.y.' }, 'name', /not in the zone/],
    [{ ...RECORD, name: `${'x'.repeat(60)}.`.repeat(4).concat('xxxxxxxx') }, 'name', /longer/],
    [{ ...RECORD, type: 'NS', value: 'y' }, 'type', /other name servers/],
  ];
  it.each(wrong)('%j is told at its place', (record, place, message) => {
    const faults = faultsOf([zoneOf(record)]);
    expect(faults).toHaveLength(1);
    expect(faults[0].path).toMatch(new RegExp(`records\\[0\\]\\.${place}$`));
    expect(faults[0].message).toMatch(message);
    expect(() => compileZones([zoneOf(record) as ZoneOptions])).toThrow();
  });

  it('a CNAME beside something else, a zone twice, a limit that nobody could hold', () => {
    const cname = { name: 'WWW', type: 'CNAME', value: 'x' };
    expect(faultsOf([zoneOf(RECORD, cname)])[0].message).toMatch(/has nothing else/);
    expect(faultsOf([zoneOf({ ...cname, name: '@' })])[0].message).toMatch(/has nothing else/);
    expect(faultsOf([zoneOf(), { ...zoneOf(), name: 'A.b.' }])[0].message).toMatch(/exists twice/);
    expect(faultsOf([zoneOf()], { 'rate-limit': { answers: 20_000 } })).toHaveLength(1);
  });
});
