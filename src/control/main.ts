// The process `weir: control`, started by the supervisor: maps main memory, puts a configuration into
// force, and answers at the control socket. SIGHUP reloads, SIGTERM ends; SIGINT, which a terminal
// sends to all of weir at once, is the supervisor's to decide about. It needs no capability.
// When it is killed switching goes on; the next one begins where it stopped (control-processor.ts).

import { readFileSync } from 'node:fs';
import { WeirError } from '../base/errors.ts';
import { Log } from '../base/log.ts';
import { readPlan } from '../base/process-plan.ts';
import { HEADER_CONTROL_PID } from '../memory/layout.ts';
import { attachMainMemory, type MainMemory } from '../memory/region.ts';
import { CLAIMS_SIZE } from '../sys/claims-map.ts';
import { ClaimsTable } from '../sys/claims-table.ts';
import { signalEvent } from '../sys/event-fd.ts';
import { attachMemoryFile, type ReservedRange } from '../sys/main-memory.ts';
import { setProcessTitle } from '../sys/process.ts';
import { serveAdmin } from './admin.ts';
import { Claims } from './claims.ts';
import { ControlProcessor } from './control-processor.ts';

/** How often it looks whether another control processor has taken its place. */
const SUCCESSOR_INTERVAL_MS = 500;

function version(): string {
  const file = new URL('../../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

const log = new Log('control');

/** What is weir's on shared interfaces, where there are any. */
function claimsOn(memory: MainMemory, range: ReservedRange, fd: number): { claims?: Claims } {
  if (fd < 0) return {};
  const offset = range.mapRing(fd, CLAIMS_SIZE, 0);
  return { claims: new Claims(memory, new ClaimsTable(range.buffer, offset)) };
}

async function main(): Promise<void> {
  const plan = readPlan('control');
  const range = attachMemoryFile(plan.memoryFileDescriptor, plan.memorySize);
  const memory = attachMainMemory(range.buffer);
  const control = new ControlProcessor({
    memory,
    plan,
    version: version(),
    log,
    ...claimsOn(memory, range, plan.claimsFileDescriptor),
    wake: () => plan.eventFileDescriptors.forEach(signalEvent),
  });
  process.on('SIGHUP', () => {
    control.reload().catch((error: Error) => log.error(`reload failed: ${error.message}`));
  });
  // When the supervisor was killed, the next one starts a control processor of its own: two must
  // not write the tables. The socket is the other's by then.
  setInterval(() => {
    const pid = memory.header(HEADER_CONTROL_PID);
    if (pid === 0 || pid === process.pid) return;
    log.info(`process ${pid} is the control processor now: ending`);
    process.exit(0);
  }, SUCCESSOR_INTERVAL_MS);
  // It answers while the first publication is under way: the state is 'starting' until then.
  const listening = serveAdmin(plan.socketPath, {
    status: () => control.status(),
    reload: () => control.reload(),
    load: () => control.loadStatistics(),
    routes: (limit) => control.routes(limit),
    backends: control.backendActions(),
    applications: control.applicationActions(),
  }).then((server) => {
    endWith = () => {
      // Closing removes the socket.
      server.close(() => process.exit(0));
      server.closeAllConnections();
    };
  });
  await Promise.all([control.start(), listening]);
}

let endWith: () => void = () => process.exit(0);

setProcessTitle('weir: control');
process.on('SIGINT', () => {});
process.on('SIGTERM', () => endWith());
main().catch((error: Error) => {
  log.error(error instanceof WeirError ? error.message : String(error.stack));
  process.exit(1);
});
