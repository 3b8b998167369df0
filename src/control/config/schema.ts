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
import { parseInterfaceAddress } from './ipv4-text.ts';
import {
  applicationMatchShape,
  applicationShape,
  applicationsSchema,
} from './schema-applications.ts';
import {
  type CompleteControl,
  completeControl,
  controlPairShape,
  controlSchema,
  controlShape,
} from './schema-control.ts';
import {
  agentShape,
  backendLoadShape,
  distributionShape,
  listenShape,
  loadShape,
  remoteShape,
  resourceManagerShape,
} from './schema-distribution.ts';
import { healthShape, ON_DOWN, passiveHealthShape } from './schema-health.ts';
import { forwardingShape, routeShape, routingShape } from './schema-routing.ts';
import { payloadShape, ruleShape } from './schema-rules.ts';
import {
  DEFAULT_TIMEOUTS,
  duration,
  mergeTimeouts,
  type Timeouts,
  timeoutNames,
  timeoutsShape,
} from './schema-timeouts.ts';
import { hostAddress, IPV4, name, PREFIX, parsedText, port } from './schema-values.ts';

function powerOfTwo(value: number, context: z.core.$RefinementCtx<number>): void {
  if ((value & (value - 1)) === 0) return;
  const suggestion = `write ${2 ** Math.round(Math.log2(value))}`;
  context.addIssue({
    code: 'custom',
    message: `${value} is not a power of two`,
    params: { suggestion },
  });
}

export const interfaceAddress = parsedText(parseInterfaceAddress, IPV4 + PREFIX, '10.1.0.1/24');

const busyPollShape = {
  budget: z
    .int()
    .min(1)
    .max(1024)
    .default(64)
    .describe('Most frames that one poll of the driver takes.'),
};

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
    .enum(['dedicated', 'shared'])
    .default('dedicated')
    .describe(
      "dedicated: all frames go to weir; shared: what no service claims stays the kernel's.",
    ),
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
  'busy-poll': z
    .strictObject(busyPollShape)
    .optional()
    .describe('The driver is polled by a call whenever a queue is empty (AF_XDP only).'),
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
  isolate: z
    .enum(['auto', 'off'])
    .default('auto')
    .describe(
      'auto: interrupts and threads of others are kept off these CPUs, where that can be had.',
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
  'icmp-errors': z
    .int()
    .min(0)
    .max(1_000_000)
    .default(1000)
    .describe('ICMP errors about packets that are forwarded without a service.'),
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
  labels: z.array(name).default([]).describe('What it is or has; rules can require it.'),
  'connection-limit': z
    .int()
    .min(1)
    .max(0xff_ffff)
    .optional()
    .describe('Most connections that it has open at once.'),
  fallback: z
    .boolean()
    .default(false)
    .describe('It takes connections only when no other backend of the service can.'),
  'health-port': port.optional().describe("Port that health checks ask; default the service's."),
  load: z
    .strictObject(backendLoadShape)
    .optional()
    .describe("Its source of load where it differs from the service's."),
};

/** The schedulers by all their names. */
export const SCHEDULER_NAMES = {
  'round-robin': 'round-robin',
  rr: 'round-robin',
  'weighted-round-robin': 'weighted-round-robin',
  wrr: 'weighted-round-robin',
  'least-connections': 'least-connections',
  lc: 'least-connections',
  'weighted-least-connections': 'weighted-least-connections',
  wlc: 'weighted-least-connections',
  'shortest-expected-delay': 'shortest-expected-delay',
  sed: 'shortest-expected-delay',
  'never-queue': 'never-queue',
  nq: 'never-queue',
  'source-hash': 'source-hash',
  sh: 'source-hash',
  maglev: 'maglev',
  mh: 'maglev',
  'power-of-two': 'power-of-two',
  p2c: 'power-of-two',
  random: 'random',
} as const;

type SchedulerName = keyof typeof SCHEDULER_NAMES;

const persistenceShape = {
  timeout: duration.prefault('300s').describe('How long after its last new connection.'),
  mask: z
    .int()
    .min(1)
    .max(32)
    .default(32)
    .describe('Clients whose addresses begin with the same bits, so many, are one.'),
};

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
    .enum(Object.keys(SCHEDULER_NAMES) as [SchedulerName, ...SchedulerName[]])
    .default('weighted-round-robin')
    .describe('How a backend is chosen for a new connection; by the long or the short name.')
    .transform((scheduler) => SCHEDULER_NAMES[scheduler]),
  timeouts: z
    .strictObject(timeoutsShape)
    .optional()
    .describe('Timeouts of this service where they differ from the global ones.'),
  persistence: z
    .strictObject(persistenceShape)
    .optional()
    .describe('A client keeps its backend over several connections.'),
  'connection-limit': z
    .int()
    .min(1)
    .max(0xff_ffff)
    .optional()
    .describe('Most connections that the service has open at once.'),
  health: z
    .strictObject(healthShape)
    .optional()
    .describe('Checks of the backends; without it they count as alive.'),
  'passive-health': z
    .strictObject(passiveHealthShape)
    .optional()
    .describe('What the packets that pass say about the backends (not with dsr).'),
  'panic-threshold': z
    .int()
    .min(0)
    .max(100)
    .default(50)
    .describe('When fewer than so many percent of the backends are healthy, all are used.'),
  'on-down': z
    .enum(ON_DOWN)
    .default('keep')
    .describe('What becomes of the connections of a backend that is down.'),
  distribution: z
    .strictObject(distributionShape)
    .prefault({})
    .describe('How the load of the backends becomes their weights.'),
  load: z
    .strictObject(loadShape)
    .optional()
    .describe('Where it is learned what load the backends have.'),
  rules: z
    .array(z.strictObject(ruleShape))
    .default([])
    .describe('Choice by content: the first rule that a connection meets decides.'),
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
    routing: z
      .strictObject(routingShape)
      .prefault({})
      .describe('Routes that routing programs put into the kernel.'),
    forwarding: z
      .array(z.strictObject(forwardingShape))
      .default([])
      .describe('Between which interfaces packets are routed that no service claims.'),
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
    control: controlSchema,
    applications: applicationsSchema,
    'resource-manager': z
      .strictObject(resourceManagerShape)
      .prefault({})
      .describe('Who may say what load the backends have.'),
  })
  .meta({ title: 'weir', description: 'The configuration of weir.' });

/** The values of each part one by one, for the checks that also run on faulty files (parts.ts). */
export const SHAPES = {
  interface: interfaceShape,
  route: routeShape,
  routing: routingShape,
  forwarding: forwardingShape,
  processors: processorsShape,
  limits: limitsShape,
  service: serviceShape,
  backend: backendShape,
  control: controlShape,
  controlPair: controlPairShape,
  application: applicationShape,
  resourceManager: resourceManagerShape,
};

/** Known keys by place: 'services[].backends[]' has name, address, … */
export const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  '': Object.keys(configurationSchema.shape),
  'interfaces[]': Object.keys(interfaceShape),
  'interfaces[].busy-poll': Object.keys(busyPollShape),
  'routes[]': Object.keys(routeShape),
  routing: Object.keys(routingShape),
  'forwarding[]': Object.keys(forwardingShape),
  processors: Object.keys(processorsShape),
  limits: Object.keys(limitsShape),
  timeouts: timeoutNames,
  'rate-limits': Object.keys(rateLimitsShape),
  'services[]': [...Object.keys(serviceShape), 'backends'],
  'services[].timeouts': timeoutNames,
  'services[].persistence': Object.keys(persistenceShape),
  'services[].health': Object.keys(healthShape),
  'services[].passive-health': Object.keys(passiveHealthShape),
  'services[].distribution': Object.keys(distributionShape),
  'services[].load': Object.keys(loadShape),
  'services[].rules[]': Object.keys(ruleShape),
  'services[].rules[].payload': Object.keys(payloadShape),
  'services[].backends[]': Object.keys(backendShape),
  'services[].backends[].load': Object.keys(backendLoadShape),
  control: Object.keys(controlShape),
  'control.pairs[]': Object.keys(controlPairShape),
  'applications[]': Object.keys(applicationShape),
  'applications[].match[]': Object.keys(applicationMatchShape),
  'resource-manager': Object.keys(resourceManagerShape),
  'resource-manager.listen': Object.keys(listenShape),
  'resource-manager.agents[]': Object.keys(agentShape),
  'resource-manager.remote': Object.keys(remoteShape),
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
export type Configuration = Omit<ConfigurationFile, 'timeouts' | 'services' | 'control'> &
  CompleteControl & { timeouts: Timeouts; services: ServiceConfiguration[] };

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
  return { ...file, timeouts, services, ...completeControl(file.control) };
}
