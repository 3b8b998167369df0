// The page of `weir status`: from a Status to text. Pure. What is not as it should be (a processor that
// does not run, a link that is down, a neighbor that does not answer, packets unaccounted for) stands
// out in red; what is merely worth a look, in yellow.

import type {
  ConnectionsStatus,
  ControlHostStatus,
  ControlInterfaceStatus,
  InterfaceStatus,
  ServiceStatus,
  Status,
  SwitchingStatus,
} from '../control/status-shape.ts';
import {
  bar,
  bytes,
  type Column,
  count,
  duration,
  type Paint,
  percent,
  printable,
  table,
} from './status-terminal.ts';

const SHARE_WIDTH = 20;

/** The whole page, ended by a newline. */
export function renderStatus(status: Status, colors: Paint): string {
  const parts = [
    head(status, colors),
    processes(status, colors),
    interfaces(status, colors),
    ...(status.controlHost === null ? [] : [controlHost(status.controlHost, colors)]),
    ...(status.controlInterface === null
      ? []
      : [controlInterface(status.controlInterface, colors)]),
    ...(status.applications.length === 0 ? [] : [applications(status.applications, colors)]),
    ...status.services.map((service) => serviceLines(service, colors)),
    connections(status.connections, colors),
    packets(status, colors),
    neighbors(status, colors),
  ];
  return `${parts.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function right(title: string): Column {
  return { title, align: 'right' };
}

function left(title: string): Column {
  return { title };
}

function head(status: Status, colors: Paint): string[] {
  const { configuration, state } = status;
  const shown = state === 'ready' ? colors.green('● ready') : colors.yellow('○ starting');
  const up = colors.dim(`up ${duration(status.uptimeSeconds * 1000)}`);
  const refused = configuration.reloadsRefused;
  const lines = [`${colors.bold(`weir ${status.version}`)}  ${shown}  ${up}`];
  const since = configuration.appliedAt === null ? 'not yet in force' : configuration.appliedAt;
  const line = `configuration ${configuration.generation} (${since})`;
  lines.push(`${line}  ${colors.dim(printable(configuration.file))}`);
  if (refused > 0) lines.push(colors.yellow(`${count(refused)} reloads were refused`));
  return lines;
}

const PROCESSOR_COLUMNS = [
  left('PROCESS'),
  right('PID'),
  left('STATE'),
  right('CPU'),
  right('RESTARTS'),
  right('SINCE'),
  right('RECEIVED'),
  right('FORWARDED'),
  right('DROPPED'),
  right('CONSUMED'),
  right('PUNTED'),
  right('WAITING'),
];

function processes(status: Status, colors: Paint): string[] {
  const { supervisor, control, switching } = status.processes;
  const nothing = Array<string>(PROCESSOR_COLUMNS.length - 5).fill('');
  const rows = [
    [
      'supervisor',
      String(supervisor.pid),
      supervisor.alive ? colors.green('running') : colors.red('dead'),
      '',
      '',
      ...nothing,
    ],
    [
      'control',
      String(control.pid),
      colors.green('running'),
      '',
      restarts(control.restarts, colors),
      ...nothing,
    ],
    ...switching.map((each) => switchingRow(each, colors)),
  ];
  const lines = table(PROCESSOR_COLUMNS, rows, colors);
  for (const { processor, balance } of switching) {
    // A packet under way is received and not yet counted; more than a burst or two never are.
    if (Math.abs(balance) <= 128) continue;
    lines.push(
      colors.yellow(`  switching ${processor}: ${count(balance)} packets unaccounted for`),
    );
  }
  return lines;
}

function restarts(number: number, colors: Paint): string {
  return number === 0 ? '0' : colors.yellow(count(number));
}

function switchingRow(each: SwitchingStatus, colors: Paint): string[] {
  let state = each.state === 'running' ? colors.green('running') : colors.red(each.state);
  if (each.state === 'running' && each.sleeping) state = colors.green('sleeping');
  return [
    `switching ${each.processor}`,
    String(each.pid),
    state,
    each.cpu === null ? '–' : String(each.cpu),
    restarts(each.restarts, colors),
    each.runningSinceMs === null ? '–' : duration(each.runningSinceMs),
    count(each.received),
    count(each.forwarded),
    count(each.dropped),
    count(each.consumed),
    count(each.punted),
    count(each.waiting),
  ];
}

function interfaces({ interfaces: list, claims }: Status, colors: Paint): string[] {
  const columns = [
    left('INTERFACE'),
    left('LINK'),
    left('KIND'),
    left('MODE'),
    left('MAC ADDRESS'),
    right('MTU'),
    left('POLLED BY'),
    right('RECEIVED'),
    right(''),
    right('SENT'),
    right(''),
  ];
  const rows = list.map((each) => [
    printable(each.name),
    each.up ? colors.green('up') : colors.red('down'),
    each.kind,
    each.mode,
    each.mac,
    String(each.mtu),
    each.queues.map(({ processor }) => processor).join(' '),
    count(each.receivedPackets),
    bytes(each.receivedBytes),
    count(each.sentPackets),
    bytes(each.sentBytes),
  ]);
  const details = list.flatMap((each) => interfaceDetails(each, colors));
  return [...table(columns, rows, colors), ...details, ...claimsLines(claims, colors)];
}

/** What is said only of an interface that has it. */
function interfaceDetails(each: InterfaceStatus, colors: Paint): string[] {
  const { shared, busyPolling } = each;
  const name = printable(each.name);
  const lines: string[] = [];
  if (shared !== null) {
    const { framesTaken, framesLeftToKernel } = shared;
    const frames = `${count(framesTaken)} frames taken, ${count(framesLeftToKernel)} left to the kernel`;
    lines.push(`  ${name} is shared: ${frames}`);
  }
  if (busyPolling.budget !== null) {
    const { budget, inEffect, reason } = busyPolling;
    const state = inEffect
      ? `its driver is polled, ${budget} frames at a time`
      : colors.yellow(`no busy polling: ${reason}`);
    lines.push(`  ${name}: ${state}`);
  }
  return lines;
}

function claimsLines(claims: Status['claims'], colors: Paint): string[] {
  if (claims === null) return [];
  const { inForce, capacity, former, refused } = claims;
  const left =
    former === 0 ? '' : `, ${count(former)} for connections of what is configured no longer`;
  const lines = [`  claims of shared interfaces: ${count(inForce)} of ${count(capacity)}${left}`];
  if (refused > 0) {
    const wanted = `${count(refused)} claims are wanted and do not fit: those before are in force`;
    lines.push(colors.red(`  ${wanted}`));
  }
  return lines;
}

function controlHost(host: ControlHostStatus, colors: Paint): string[] {
  const { device, namespace, addresses, up, madeAnew, daemon, toHost, fromHost } = host;
  const where = namespace === null ? '' : ` in ${printable(namespace)}`;
  const link = up ? colors.green('up') : colors.red('down');
  const again = madeAnew === 0 ? '' : colors.yellow(`  made anew ${count(madeAnew)} times`);
  const title = `${colors.bold('control host')}  ${printable(device)}${where}  ${link}  ${addresses.join(' ')}`;
  const dropped = toHost.droppedFull + toHost.refusedByDevice;
  const loss = (packets: number): string => {
    return packets === 0 ? '0' : colors.yellow(count(packets));
  };
  const columns = [left('DIRECTION'), right('PACKETS'), right(''), right('DROPPED')];
  const rows = [
    ['to it', count(toHost.packets), bytes(toHost.bytes), loss(dropped)],
    ['from it', count(fromHost.packets), bytes(fromHost.bytes), loss(fromHost.droppedFull)],
  ];
  const about = `interface daemon ${daemon.pid}, ${restarts(daemon.restarts, colors)} restarts`;
  return [`${title}  ${colors.dim(about)}${again}`, ...table(columns, rows, colors)];
}

function controlInterface(host: ControlInterfaceStatus, colors: Paint): string[] {
  const { pairs, toHost, fromHost } = host;
  const carried = `${count(toHost.packets)} packets to it, ${count(fromHost.packets)} from it`;
  const columns = [left('VIRTUAL'), left('REAL'), left('ON'), left('MAC'), left('STATE')];
  const rows = pairs.map(({ virtual, real, interface: on, mac, state }) => {
    return [virtual, real, printable(on), mac ?? '–', state ?? '–'];
  });
  const title = `${colors.bold('control host')}  by an interface  ${colors.dim(carried)}`;
  return [title, ...table(columns, rows, colors)];
}

/** In one line; `weir apps` has the rest. */
function applications(all: Status['applications'], colors: Paint): string[] {
  const each = all.map(({ name, state, packets }) => {
    const shown = state === 'running' ? `${count(packets)} packets` : colors.red(state);
    return `${printable(name)} ${shown}`;
  });
  return [`${colors.bold('applications')}  ${each.join('  ')}  ${colors.dim('(weir apps)')}`];
}

function serviceLines(service: ServiceStatus, colors: Paint): string[] {
  const { name, protocol, address, port, scheduler, forwarding } = service;
  const about = colors.dim(`${scheduler}, ${forwarding}`);
  const carried = `${count(service.connectionsActive)} connections now, ${count(service.connectionsTotal)} in all`;
  const title = `${colors.bold(name)}  ${protocol} ${address}:${port}  ${about}`;
  const columns = [
    left('BACKEND'),
    left('ADDRESS'),
    right('WEIGHT'),
    right('NOW'),
    right('CONNECTIONS'),
    right('SHARE'),
    left(''),
    right('TO IT'),
    right(''),
    right('FROM IT'),
    right(''),
  ];
  const rows = service.backends.map((backend) => [
    backend.name,
    `${backend.address}:${backend.port}`,
    backend.weight === 0 ? colors.yellow('0') : count(backend.weight),
    count(backend.connectionsActive),
    count(backend.connectionsTotal),
    percent(backend.share),
    bar(backend.share, SHARE_WIDTH, colors),
    count(backend.packetsIn),
    bytes(backend.bytesIn),
    count(backend.packetsOut),
    bytes(backend.bytesOut),
  ]);
  return [`${title}  ${carried}`, ...table(columns, rows, colors)];
}

function connections(status: ConnectionsStatus, colors: Paint): string[] {
  const part = status.taken / status.capacity;
  const used = percent(part);
  return [
    `${colors.bold('connections')}  ${count(status.live)} now, closing ones included, ` +
      `${count(status.halfOpen)} half open; ` +
      `${count(status.taken)} of ${count(status.capacity)} records taken ` +
      `(${part > 0.9 ? colors.red(used) : used})`,
    colors.dim(
      `  since the start: ${count(status.inserted)} begun, ` +
        `${count(status.expired)} expired, ${count(status.evicted)} evicted`,
    ),
  ];
}

function packets(status: Status, colors: Paint): string[] {
  const { received, reasons } = status.totals;
  const title = `${colors.bold('packets')}  ${count(received)} received`;
  const rows = Object.entries(reasons)
    .sort(([, a], [, b]) => b.count - a.count)
    .map(([name, { count: number, verdict, meaning }]) => [
      name,
      verdict === 'dropped' ? colors.yellow(verdict) : verdict,
      count(number),
      percent(received === 0 ? 0 : number / received),
      colors.dim(meaning),
    ]);
  if (rows.length === 0) return [title];
  const columns = [left('REASON'), left('VERDICT'), right('PACKETS'), right('PART'), left('')];
  const lines = [title, ...table(columns, rows, colors)];
  const isDropped = Object.values(reasons).some(({ verdict }) => verdict === 'dropped');
  if (isDropped) lines.push(colors.dim('  what to do about each: docs/reference/reasons.md'));
  return lines;
}

function neighbors(status: Status, colors: Paint): string[] {
  const columns = [left('NEIGHBOR'), left('INTERFACE'), left('MAC ADDRESS'), left('STATE')];
  const rows = status.neighbors.map((each) => [
    each.address,
    printable(each.interface),
    each.mac ?? '–',
    each.state === 'failed' ? colors.red(each.state) : each.state,
  ]);
  return rows.length === 0 ? [colors.dim('no neighbors yet')] : table(columns, rows, colors);
}
