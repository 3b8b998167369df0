// The configuration file, as a schema: every key, its type, its range, its default, and one sentence
// on what it does. Parsing (parse.ts), the JSON Schema for editors (json-schema.ts) and the names
// that "did you mean" proposes all come from here.
//
// What one value says about another (names, networks, processors) is in checks.ts.
//
// Invariant: keys of the file are keys of the type, unchanged; durations become seconds, aliases
// their full name. What `Configuration` adds is that nothing optional is left open that has a default.

import { z } from 'zod';
import { MAX_QUEUES } from '../../memory/layout.ts';
import {
  isTextFault,
  parseInterfaceAddress,
  parseIpv4Network,
  parseIpv4Unicast,
  type TextFault,
} from './ipv4-text.ts';

const IPV4 =
  '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}';
const PREFIX = '/(3[0-2]|[12]?[0-9])';

/** A text with its own parser: the parser words the fault, the pattern serves the editor. */
function parsedText(parse: (text: string) => unknown, pattern: string, example: string) {
  return z
    .string()
    .superRefine((text, context) => {
      const parsed = parse(text);
      if (!isTextFault(parsed)) return;
      const { message, suggestion } = parsed;
      context.addIssue({ code: 'custom', message, params: { suggestion } });
    })
    .meta({ pattern: `^${pattern}$`, examples: [example] });
}

function powerOfTwo(value: number, context: z.core.$RefinementCtx<number>): void {
  if ((value & (value - 1)) === 0) return;
  const suggestion = `write ${2 ** Math.round(Math.log2(value))}`;
  context.addIssue({
    code: 'custom',
    message: `${value} is not a power of two`,
    params: { suggestion },
  });
}

const hostAddress = (example: string) => parsedText(parseIpv4Unicast, IPV4, example);

const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, {
  error:
    'a name has 1–63 letters, digits, dots, dashes and underscores, and starts with a letter or digit',
});

const port = z.int().min(1).max(65_535);

/** Names of the timeouts and their defaults in seconds (those of IPVS). */
const DEFAULT_TIMEOUTS = {
  established: 900,
  'syn-sent': 120,
  'syn-received': 60,
  'fin-wait': 120,
  'time-wait': 120,
  close: 10,
  'close-wait': 60,
  'last-ack': 30,
  udp: 300,
} as const;

export type TimeoutName = keyof typeof DEFAULT_TIMEOUTS;
/** Seconds for each timeout. */
export type Timeouts = Record<TimeoutName, number>;

const LONGEST_TIMEOUT_SECONDS = 7 * 86_400;
const SECONDS_PER_UNIT: Record<string, number> = { s: 1, m: 60, h: 3600 };

/** Seconds of '900s', '15m', '2h' or 900; or the fault. */
function parseDuration(value: string | number): number | TextFault {
  const text = String(value);
  const match = /^([0-9]+)([smh]?)$/.exec(text);
  if (match === null) {
    return { message: `${text} is not a duration`, suggestion: 'write it as in 900s, 15m or 2h' };
  }
  const seconds = Number(match[1]) * (SECONDS_PER_UNIT[match[2]] ?? 1);
  if (seconds >= 1 && seconds <= LONGEST_TIMEOUT_SECONDS) return seconds;
  return { message: `${text} is not between 1s and 168h`, suggestion: '' };
}

const duration = z
  .union(
    [parsedText(parseDuration, '[0-9]+[smh]?', '15m'), z.int().min(1).max(LONGEST_TIMEOUT_SECONDS)],
    { error: 'a duration is expected, such as 900s, 15m or 2h' },
  )
  .transform((value) => parseDuration(value) as number);

const TIMEOUT_DESCRIPTIONS: Record<TimeoutName, string> = {
  established: 'An established TCP connection without traffic is forgotten after this time.',
  'syn-sent': 'A TCP connection of which only the SYN of the client was seen.',
  'syn-received': 'A TCP connection that waits for the last acknowledgement of its handshake.',
  'fin-wait': 'A TCP connection that one end has closed.',
  'time-wait': 'A TCP connection that both ends have closed.',
  close: 'A TCP connection after a reset.',
  'close-wait': 'A TCP connection whose client waits for the backend to close.',
  'last-ack': 'A TCP connection that waits for the last acknowledgement.',
  udp: 'A UDP conversation without traffic.',
};

const timeoutNames = Object.keys(DEFAULT_TIMEOUTS) as TimeoutName[];
const timeoutsShape = Object.fromEntries(
  timeoutNames.map((timeout) => [
    timeout,
    duration
      .optional()
      .describe(`${TIMEOUT_DESCRIPTIONS[timeout]} Default ${DEFAULT_TIMEOUTS[timeout]}s.`),
  ]),
) as Record<TimeoutName, z.ZodOptional<typeof duration>>;

export const interfaceAddress = parsedText(parseInterfaceAddress, IPV4 + PREFIX, '10.1.0.1/24');

const interfaceShape = {
  name: z
    .string()
    .regex(/^(?!\.{1,2}$)[^\s/:]{1,15}$/, {
      error: 'the name of an interface has 1–15 characters, and no space, slash or colon',
    })
    .describe('Name of the network interface in Linux, as `ip link` shows it.'),
  addresses: z
    .array(interfaceAddress)
    .min(1)
    .describe('Own addresses, each with the prefix length of its network.'),
  kind: z
    .enum(['auto', 'af-xdp', 'af-packet'])
    .default('auto')
    .describe('How frames are received and sent; auto takes the best that the driver offers.'),
  mode: z
    .enum(['dedicated'])
    .default('dedicated')
    .describe('dedicated: all frames of the interface go to weir.'),
  queues: z
    .union([z.literal('auto'), z.int().min(1).max(MAX_QUEUES)], {
      error: `auto or a number of queues from 1 to ${MAX_QUEUES} is expected`,
    })
    .default('auto')
    .describe('How many of the queues of the interface are polled.'),
  processor: z
    .int()
    .min(0)
    .max(63)
    .optional()
    .describe('Index of the one switching processor that polls all queues of this interface.'),
};

const routeShape = {
  to: parsedText(parseIpv4Network, `(default|${IPV4}${PREFIX})`, 'default').describe(
    'The network, or default.',
  ),
  via: hostAddress('10.1.0.254').optional().describe('The next router, on a connected network.'),
  interface: z.string().optional().describe('The interface, for a network without a router.'),
};

const processorsShape = {
  switching: z.int().min(1).max(64).default(1).describe('How many switching processors run.'),
  idle: z
    .enum(['adaptive', 'busy'])
    .default('adaptive')
    .describe('What one does without traffic: sleep until there is some, or poll on.'),
  cpus: z
    .array(z.int().min(0).max(4095))
    .optional()
    .describe(
      'The CPU of each switching processor, one for each; the other processes keep off them.',
    ),
};

const limitsShape = {
  connections: z
    .int()
    .min(1024)
    .max(0xff_ffff)
    .default(1_048_576)
    .describe('Connections that can be open at once; about 160 bytes of memory each.'),
  frames: z
    .int()
    .min(256)
    .max(262_144)
    .superRefine(powerOfTwo)
    .default(16_384)
    .describe('Frames of 2048 bytes that hold packets; a power of two.'),
};

const rateLimitsShape = {
  resets: z.int().min(0).max(1_000_000).default(1000).describe('TCP resets sent.'),
  'echo-replies': z.int().min(0).max(1_000_000).default(1000).describe('Answers to ping.'),
};

const backendShape = {
  name: name.describe('Name of the backend, unique in its service.'),
  address: hostAddress('10.2.0.11').describe('Address of the server.'),
  port: port.optional().describe("Port on the server; default the service's port."),
  weight: z
    .int()
    .min(0)
    .max(65_535)
    .default(1)
    .describe('Share of new connections relative to the other backends; 0 takes none.'),
};

const SCHEDULER_NAMES = {
  'weighted-round-robin': 'weighted-round-robin',
  wrr: 'weighted-round-robin',
  maglev: 'maglev',
  mh: 'maglev',
} as const;

const serviceShape = {
  name: name.describe('Name of the service, unique.'),
  address: hostAddress('10.1.0.100').describe('The address that clients connect to.'),
  protocol: z.enum(['tcp', 'udp']).describe('The protocol.'),
  port: port.describe('The port that clients connect to.'),
  forwarding: z
    .enum(['nat', 'dsr'])
    .default('nat')
    .describe('nat rewrites address and port; dsr only the MAC address (replies bypass weir).'),
  scheduler: z
    .enum(['weighted-round-robin', 'maglev', 'wrr', 'mh'])
    .default('weighted-round-robin')
    .describe('How a backend is chosen for a new connection (wrr, mh: the short names).')
    .transform((scheduler) => SCHEDULER_NAMES[scheduler]),
  timeouts: z
    .strictObject(timeoutsShape)
    .optional()
    .describe('Timeouts of this service where they differ from the global ones.'),
};

const backendsOf = z
  .array(z.strictObject(backendShape))
  .min(1)
  .describe('The servers that share the connections of the service.');

export const configurationSchema = z
  .strictObject({
    interfaces: z
      .array(z.strictObject(interfaceShape))
      .min(1)
      .describe('The network interfaces that weir switches between.'),
    routes: z
      .array(z.strictObject(routeShape))
      .default([])
      .describe('Networks behind routers, beside the networks of the interfaces.'),
    processors: z.strictObject(processorsShape).prefault({}).describe('The processors.'),
    limits: z.strictObject(limitsShape).prefault({}).describe('Sizes, fixed at start.'),
    timeouts: z
      .strictObject(timeoutsShape)
      .prefault({})
      .describe('When a connection without traffic is forgotten, by its state.'),
    'rate-limits': z
      .strictObject(rateLimitsShape)
      .prefault({})
      .describe('Packets that weir sends on its own, per second and switching processor.'),
    services: z
      .array(z.strictObject({ ...serviceShape, backends: backendsOf }))
      .default([])
      .describe('What clients connect to.'),
  })
  .meta({ title: 'weir', description: 'The configuration of weir.' });

/** The values of each part one by one, for the checks that also run on faulty files (parts.ts). */
export const SHAPES = {
  interface: interfaceShape,
  route: routeShape,
  processors: processorsShape,
  limits: limitsShape,
  service: serviceShape,
  backend: backendShape,
};

/** Known keys by place: 'services[].backends[]' has name, address, … */
export const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  '': Object.keys(configurationSchema.shape),
  'interfaces[]': Object.keys(interfaceShape),
  'routes[]': Object.keys(routeShape),
  processors: Object.keys(processorsShape),
  limits: Object.keys(limitsShape),
  timeouts: timeoutNames,
  'rate-limits': Object.keys(rateLimitsShape),
  'services[]': [...Object.keys(serviceShape), 'backends'],
  'services[].timeouts': timeoutNames,
  'services[].backends[]': Object.keys(backendShape),
};

/** What the file says, validated, with the schema's defaults. */
export type ConfigurationFile = z.output<typeof configurationSchema>;
type ServiceOfFile = ConfigurationFile['services'][number];
export type BackendConfiguration = ServiceOfFile['backends'][number] & { port: number };
export type ServiceConfiguration = Omit<ServiceOfFile, 'backends' | 'timeouts'> & {
  timeouts: Timeouts;
  backends: BackendConfiguration[];
};
/** A configuration in which every default stands: ports of backends, timeouts of services. */
export type Configuration = Omit<ConfigurationFile, 'timeouts' | 'services'> & {
  timeouts: Timeouts;
  services: ServiceConfiguration[];
};

/** Fills in the defaults that depend on other values. */
export function completeConfiguration(file: ConfigurationFile): Configuration {
  const timeouts = mergeTimeouts(DEFAULT_TIMEOUTS, file.timeouts);
  const services = file.services.map((service) => ({
    ...service,
    timeouts: mergeTimeouts(timeouts, service.timeouts ?? {}),
    backends: service.backends.map((backend) => ({
      ...backend,
      port: backend.port ?? service.port,
    })),
  }));
  return { ...file, timeouts, services };
}

function mergeTimeouts(base: Timeouts, changes: Partial<Timeouts>): Timeouts {
  const merged = { ...base };
  for (const timeout of timeoutNames) merged[timeout] = changes[timeout] ?? base[timeout];
  return merged;
}
