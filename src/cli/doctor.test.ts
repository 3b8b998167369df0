// `weir doctor` on this machine: what it finds must be so here, whoever runs the test. How it judges a
// running weir's interfaces is test/scenario/shared-interface.test.ts.

import { accessSync, constants } from 'node:fs';
import { release } from 'node:os';
import { describe, expect, it } from 'vitest';
import { parseConfiguration } from '../control/config/parse.ts';
import type { Configuration } from '../control/config/schema.ts';
import { allowedCpus, onlineCpus } from '../sys/affinity.ts';
import { missingCapabilities } from '../sys/capabilities.ts';
import { renderFindings } from './doctor.ts';
import { type Finding, missing, notHad, notNeeded, ok } from './doctor-finding.ts';
import { examineInterfaces } from './doctor-interfaces.ts';
import { examineMachine } from './doctor-machine.ts';
import { examineProcessors } from './doctor-processors.ts';
import { paint } from './status-terminal.ts';

function configured(processors: string, interfaces = '{ name: lo, addresses: [10.1.0.1/24] }') {
  const text = `interfaces: [${interfaces}]\nprocessors: ${processors}\nservices: []\n`;
  const { configuration, faults } = parseConfiguration(text, 'doctor.yaml');
  if (configuration === undefined) throw new Error(JSON.stringify(faults));
  return configuration as Configuration;
}

const named = (findings: readonly Finding[], name: string): Finding => {
  return findings.find((finding) => finding.name === name) as Finding;
};

describe('weir doctor', () => {
  it('says of the machine what is so', () => {
    const findings = examineMachine(undefined);
    expect(named(findings, 'node')).toEqual(ok('node', `Node ${process.versions.node}`));
    expect(named(findings, 'kernel-version').reason).toContain(release());
    expect(named(findings, 'self-test').state).toBe('ok');
    const hasRights = missingCapabilities(['CAP_NET_RAW', 'CAP_NET_ADMIN', 'CAP_BPF']).length === 0;
    expect(named(findings, 'capabilities').state).toBe(hasRights ? 'ok' : 'missing');
    expect(new Set(findings.map(({ name }) => name)).size).toBe(findings.length);
    for (const { state, reason, advice } of findings) {
      expect(reason).not.toBe('');
      if (state === 'missing') expect(advice).not.toBe('');
    }
  });

  it('asks for less locked memory where packet rings do', () => {
    const rings = configured('{}', '{ name: lo, kind: af-packet, addresses: [10.1.0.1/24] }');
    expect(named(examineMachine(rings), 'locked-memory').state).toBe('not needed');
  });

  it('tells whether the control host can be had', () => {
    const control = (text: string) => {
      const interfaces = '{ name: lo, addresses: [10.1.0.1/24] }';
      return examineMachine(
        configured(`{}\ncontrol: { addresses: [10.1.0.9/24]${text} }`, interfaces),
      );
    };
    let expected = 'ok';
    try {
      accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
    } catch {
      expected = 'missing';
    }
    expect(named(control(''), 'control-host').state).toBe(expected);
    const nowhere = named(control(', namespace: no-such-namespace'), 'control-host');
    expect([nowhere.state, nowhere.advice === '']).toEqual(['missing', false]);
    expect(named(examineMachine(undefined), 'control-host')).toBeUndefined();
  });

  it('tells what of CPUs can be had', () => {
    const without = examineProcessors(configured('{}'));
    expect(named(without, 'cpus').state).toBe('not had');
    expect(named(without, 'cpu-partition').state).toBe('not needed');
    const cpu = allowedCpus().at(-1) as number;
    const off = examineProcessors(configured(`{ cpus: [${cpu}], isolate: off }`));
    expect(named(off, 'cpu-partition').state).toBe('not needed');
    const wanted = examineProcessors(configured(`{ cpus: [${cpu}] }`));
    expect(named(wanted, 'cpus').state).toBe(onlineCpus().length > 1 ? 'ok' : 'not had');
    expect(named(wanted, 'interface lo: interrupts').state).toBe('not needed');
    expect(examineProcessors(configured('{ cpus: [4000] }'))).toMatchObject([{ state: 'missing' }]);
  });

  it('misses an interface that is not there, and nothing else of it', () => {
    const none = configured('{}', '{ name: nosuch0, addresses: [10.1.0.1/24] }');
    const options = { status: undefined, isTrying: false };
    expect(examineInterfaces(none, options)).toMatchObject([
      { name: 'interface nosuch0', state: 'missing' },
    ]);
  });

  it('shows a line for each, what to do below it, and the sum of it', () => {
    const findings = [
      ok('node', 'Node 20'),
      notNeeded('cpu-partition', 'none'),
      notHad('clock', 'hpet', 'use tsc'),
    ];
    expect(renderFindings(findings, paint(false))).toBe(
      [
        'ok          node           Node 20',
        'not needed  cpu-partition  none',
        'not had     clock          hpet',
        '                           → use tsc',
        '',
        'weir would run here',
        '',
      ].join('\n'),
    );
    const worse = renderFindings([missing('node', 'Node 18', 'a newer one')], paint(false));
    expect(worse).toContain('weir would not run here: 1 thing missing');
  });
});
