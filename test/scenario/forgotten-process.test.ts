// A supervisor that is killed between the start of a process and the note of it leaves a process that the
// next supervisor cannot know of. Two switching processors on the same rings would give frames out
// twice: the forgotten one must end when its place is given to another, and no connection may break.

import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { cleanAll, isAlive } from '../../src/lab/clean-up.ts';
import { waitUntil } from '../../src/lab/command.ts';
import { LabNetwork } from '../../src/lab/network.ts';
import { startNginx } from '../../src/lab/servers.ts';
import { WeirProcess } from '../../src/lab/weir-process.ts';
import { framesAtRest, startAgain, underLoad } from '../support/killed-switch.ts';
import { describeOnBestKind, switchConfiguration } from '../support/scenario.ts';

describeOnBestKind('a forgotten process', ['nginx'], (kind) => {
  let network: LabNetwork;
  let weir: WeirProcess;

  beforeAll(async () => {
    network = new LabNetwork({ backends: 1, queues: 2 });
    const [{ name, address }] = network.servers;
    await startNginx(network.servers[0], { port: 8080 });
    const backends = [{ name, address, port: 8080 }];
    const web = { name: 'web', address: network.virtualAddress, protocol: 'tcp', port: 80 };
    const options = { kind, processors: 2, frames: 1024, services: [{ ...web, backends }] };
    weir = await WeirProcess.start(network.switchNamespace, switchConfiguration(network, options));
  });

  afterAll(() => cleanAll());

  it('ends when its place is given to another, and nothing is lost', async () => {
    const forgotten = weir.pid('switching 1')!;
    await underLoad(network, 50, async () => {
      weir.kill('SIGKILL', 'supervisor');
      await weir.process.exited;
      const path = `${weir.socketPath}.state`;
      const state = JSON.parse(readFileSync(path, 'utf8'));
      writeFileSync(path, JSON.stringify({ ...state, switching: [state.switching[0], null] }));
      const next = startAgain(weir);
      await waitUntil(
        'the successor switches',
        async () => {
          const { pid, state: now } = (await weir.status()).processes.switching[1];
          return pid !== forgotten && now === 'running';
        },
        30_000,
        () => next.log(),
      );
      expect(isAlive(forgotten)).toBe(false);
    });
    await waitUntil('no frame is anywhere else', () => framesAtRest(weir).elsewhere === 0);
  });
});
