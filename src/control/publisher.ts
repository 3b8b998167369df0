// Puts a configuration into force: compiles it, writes the standby buffers of the configuration and
// the routing table, flips them (element 64 of Fig. 4, B4), and keeps its text in main memory, so that a
// control processor that was killed comes back with what is running and not with what a file says now.
// New decisions of the master go the same way, without the routes and the text.
// Invariant: either everything of a configuration is published or nothing: all that can fail (what does
// not fit) fails before the first flip.

import { WeirError } from '../base/errors.ts';
import { configurationBuffer, type DoubleBuffer, textBuffer } from '../memory/double-buffer.ts';
import {
  CONFIGURATION_TEXT_SIZE,
  HEADER_APPLIED_AT,
  HEADER_TEXT_LENGTH_A,
  MAX_BACKENDS,
  MAX_SERVICES,
} from '../memory/layout.ts';
import type { MainMemory } from '../memory/region.ts';
import * as table from '../tables/configuration-table.ts';
import { writeConfigurationTable } from '../tables/configuration-writer.ts';
import { BACKEND_CONNECTIONS, sumBackend } from '../tables/connection-backends.ts';
import { sourceNatBackend, sourceNatService } from '../tables/forwarding-table.ts';
import { assignIds } from '../tables/stable-ids.ts';
import { parseAddress } from '../wire/ipv4.ts';
import {
  backendKey,
  compileConfiguration,
  type Decisions,
  type Ids,
  protocolNumber,
} from './compile-configuration.ts';
import { hasSourceNat, SOURCE_NAT_NAME } from './compile-forwarding.ts';
import { mergeRoutes, type RouteMap } from './compile-routes.ts';
import type { Configuration } from './config/schema.ts';
import { MemoryText } from './memory-text.ts';
import { RoutePublication } from './route-publication.ts';
import { SelectionTables } from './selection-tables.ts';

/** How long a publication waits for the processors to leave the standby buffer. */
const QUIESCENCE_TIMEOUT_MS = 5000;
const QUIESCENCE_POLL_MS = 2;

export class Publisher {
  private readonly memory: MainMemory;
  private readonly configurationTable: DoubleBuffer;
  /** The routes in force. */
  readonly routing: RoutePublication;
  private readonly text: MemoryText;
  private readonly selections = new SelectionTables();
  private ids: Ids = { services: new Map(), backends: new Map() };
  private freedServices: readonly number[] = [];
  private freedBackends: readonly number[] = [];
  /** The kernel's routes through our interfaces; undefined: not known (yet). */
  private kernelRoutes: RouteMap | undefined = new Map();

  constructor(memory: MainMemory) {
    this.memory = memory;
    this.configurationTable = configurationBuffer(memory);
    this.routing = new RoutePublication(memory);
    const text = textBuffer(memory);
    this.text = new MemoryText(memory, text, HEADER_TEXT_LENGTH_A, CONFIGURATION_TEXT_SIZE);
  }

  /** Counts the configurations that were put into force; 0 when none ever was. */
  get configurationGeneration(): number {
    return this.text.generation;
  }

  /** Counts the flips of the configuration table: configurations, and distributions of the master. */
  get generation(): number {
    return this.configurationTable.generation();
  }

  /** Whether some running processor has not taken over the last flip yet. */
  get isUnderWay(): boolean {
    return !this.configurationTable.isQuiescent();
  }

  /** Numbers of the running services and backends. */
  get runningIds(): Ids {
    return this.ids;
  }

  /** Numbers of backends that are configured no longer; connections may still go to them. */
  get formerBackends(): readonly number[] {
    return this.freedBackends;
  }

  /** The text of the running configuration, or undefined before the first publication. */
  runningText(): string | undefined {
    return this.text.read();
  }

  /**
   * After a restart: finds the numbers of services and backends in the table that is active, so that
   * the next publication keeps them. Other numbers that connections may still name are given to nobody
   * else while there are more: those of the active table (which is not the one of the running text when
   * our predecessor was killed between the two), and those of backends that ever had a connection.
   */
  adopt(configuration: Configuration): void {
    if (this.generation === 0) return;
    const { memory } = this;
    const { words } = memory;
    const base = this.configurationTable.activeOffset(this.generation) >> 2;
    this.ids = this.findIds(configuration, base);
    this.freedServices = unusedIds(
      withUnnamed(this.ids.services, this.ids.sourceNat?.service),
      MAX_SERVICES,
      (id) => table.isServiceValid(words, base, id) !== 0,
    );
    this.freedBackends = unusedIds(
      withUnnamed(this.ids.backends, this.ids.sourceNat?.backend),
      MAX_BACKENDS,
      (id) =>
        table.isBackendValid(words, base, id) !== 0 ||
        sumBackend(memory, id, BACKEND_CONNECTIONS) > 0,
    );
  }

  private findIds(configuration: Configuration, base: number): Ids {
    const { words } = this.memory;
    const services = new Map<string, number>();
    const backends = new Map<string, number>();
    for (const service of configuration.services) {
      const address = parseAddress(service.address);
      const protocol = protocolNumber(service);
      const id = table.findService(words, base, address, service.port, protocol);
      if (id === table.NOT_FOUND) continue;
      services.set(service.name, id);
      const count = table.serviceBackendCount(words, base, id);
      for (let n = 0; n < count; n++) {
        const backend = table.serviceBackend(words, base, id, n);
        const found = service.backends.find(
          ({ address: text, port }) =>
            parseAddress(text) === table.backendAddress(words, base, backend) &&
            port === table.backendPort(words, base, backend),
        );
        if (found !== undefined) backends.set(backendKey(service.name, found.name), backend);
      }
    }
    const service = sourceNatService(words, base);
    const backend = sourceNatBackend(words, base);
    if (service < 0 || backend < 0) return { services, backends };
    return { services, backends, sourceNat: { service, backend } };
  }

  /**
   * Publishes a valid configuration. `text` is what it was parsed from; `decide` gives the master's
   * decisions about it.
   * @returns the number of this configuration
   * @throws WeirError ERR_TABLE_FULL when it does not fit; nothing has changed then
   */
  async publish(
    configuration: Configuration,
    text: string,
    decide?: (ids: Ids) => Decisions,
  ): Promise<number> {
    const { words } = this.memory;
    const bytes = Buffer.from(text, 'utf8');
    if (bytes.length > CONFIGURATION_TEXT_SIZE) {
      throw new WeirError(
        'ERR_TABLE_FULL',
        `the configuration file has ${bytes.length} bytes, more than ${CONFIGURATION_TEXT_SIZE}`,
        'make it smaller',
      );
    }
    const { ids, freedServices, freedBackends } = this.assign(configuration);
    const input = compileConfiguration(configuration, ids, decide?.(ids), this.selections);
    await this.untilQuiescent();
    const hasRoutes = await this.prepareRoutes(configuration);
    writeConfigurationTable(words, this.configurationTable.standbyOffset() >> 2, input);
    this.text.write(bytes);
    // The text first: who comes after us, should we be killed here, completes what we have begun.
    this.text.publish();
    if (hasRoutes) this.routing.publish();
    this.configurationTable.publish();
    this.memory.setHeader(HEADER_APPLIED_AT, Math.floor(Date.now() / 1000));
    this.ids = ids;
    this.freedServices = freedServices;
    this.freedBackends = freedBackends;
    return this.text.generation;
  }

  /** The numbers of everything that the configuration names, and of what it has no name for. */
  private assign(configuration: Configuration) {
    const { sourceNat } = this.ids;
    const unnamed = hasSourceNat(configuration) ? [SOURCE_NAT_NAME] : [];
    const services = assignIds(
      withUnnamed(this.ids.services, sourceNat?.service),
      [...configuration.services.map(({ name }) => name), ...unnamed],
      MAX_SERVICES,
      this.freedServices,
    );
    const names = configuration.services.flatMap((service) =>
      service.backends.map(({ name }) => backendKey(service.name, name)),
    );
    const backends = assignIds(
      withUnnamed(this.ids.backends, sourceNat?.backend),
      [...names, ...unnamed],
      MAX_BACKENDS,
      this.freedBackends,
    );
    const [service, backend] = [services.ids, backends.ids].map((ids) => ids.get(SOURCE_NAT_NAME));
    const ids: Ids = {
      services: withoutUnnamed(services.ids),
      backends: withoutUnnamed(backends.ids),
      sourceNat: service === undefined || backend === undefined ? undefined : { service, backend },
    };
    return { ids, freedServices: services.freed, freedBackends: backends.freed };
  }

  /**
   * Publishes new decisions about the backends of the configuration that was published last.
   * @throws WeirError ERR_PROCESSOR_STUCK; nothing has changed then
   */
  async publishDecisions(configuration: Configuration, decisions: Decisions): Promise<void> {
    const input = compileConfiguration(configuration, this.ids, decisions, this.selections);
    await this.untilQuiescent();
    const standby = this.configurationTable.standbyOffset() >> 2;
    writeConfigurationTable(this.memory.words, standby, input);
    this.configurationTable.publish();
  }

  /**
   * From the next publication on these are the kernel's routes; undefined: they are not known, and the
   * routes that are in force stay.
   */
  useKernelRoutes(routes: RouteMap | undefined): void {
    this.kernelRoutes = routes;
  }

  /**
   * Publishes the routes alone, of the configuration that was published last and of the kernel.
   * @returns whether anything has changed for packets
   * @throws WeirError ERR_TABLE_FULL or ERR_PROCESSOR_STUCK; nothing has changed then
   */
  async publishRoutes(configuration: Configuration): Promise<boolean> {
    await this.untilQuiescent();
    return (await this.prepareRoutes(configuration)) && this.routing.publish();
  }

  /** @returns false: those in force shall stay, because the kernel's are not known */
  private async prepareRoutes(configuration: Configuration): Promise<boolean> {
    if (this.kernelRoutes === undefined && this.routing.generation !== 0) return false;
    await this.routing.prepare(mergeRoutes(configuration, this.kernelRoutes ?? new Map()));
    return true;
  }

  /** Waits until no processor can still read a standby buffer. */
  private async untilQuiescent(): Promise<void> {
    const deadline = performance.now() + QUIESCENCE_TIMEOUT_MS;
    while (!this.configurationTable.isQuiescent() || !this.routing.isQuiescent) {
      if (performance.now() > deadline) {
        throw new WeirError(
          'ERR_PROCESSOR_STUCK',
          'a switching processor has not taken over the last configuration for five seconds',
          'look at `weir status`: a processor that is stopped holds the table it reads',
        );
      }
      await new Promise((resolve) => setTimeout(resolve, QUIESCENCE_POLL_MS));
    }
  }
}

function withUnnamed(ids: ReadonlyMap<string, number>, id: number | undefined) {
  return id === undefined ? ids : new Map(ids).set(SOURCE_NAT_NAME, id);
}

function withoutUnnamed(ids: ReadonlyMap<string, number>): Map<string, number> {
  const named = new Map(ids);
  named.delete(SOURCE_NAT_NAME);
  return named;
}

/** The numbers that are not among `ids` but that somebody may still name. */
function unusedIds(
  ids: ReadonlyMap<string, number>,
  capacity: number,
  isNamed: (id: number) => boolean,
): number[] {
  const used = new Set(ids.values());
  const unused: number[] = [];
  for (let id = 0; id < capacity; id++) if (!used.has(id) && isNamed(id)) unused.push(id);
  return unused;
}
