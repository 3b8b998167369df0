// Three projects: `unit` is everything that needs no privilege and no network (beside the code it tests, and
// in test/fuzz). `scenario` sends real packets between real hosts in network namespaces: figures, floods,
// kills with a time by which all must be well, each alone on the machine. `operation` are the scenarios
// that mostly wait, and do not mind company: several at a time.
import { defineConfig } from 'vitest/config';

const ALONE = [
  'af-xdp',
  'bulk',
  'channels',
  'control-end-point',
  'cpus',
  'dns-application',
  'kernel-routes',
  'kills',
  'load-feedback',
  'malformed',
  'media-relay',
  'no-garbage',
  'refusals',
  'report-flood',
  'traffic',
  'work-servers',
].map((name) => `test/scenario/${name}.test.ts`);

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{src,bench}/**/*.test.ts', 'test/unit/**/*.test.ts', 'test/fuzz/**/*.test.ts'],
          testTimeout: 60_000,
          pool: 'forks',
          // More than there are CPUs: many tests wait for a server, a process or a timer.
          maxWorkers: 3,
        },
      },
      {
        test: {
          name: 'scenario',
          include: ALONE,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          pool: 'forks',
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'operation',
          include: ['test/scenario/**/*.test.ts'],
          exclude: ALONE,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          pool: 'forks',
          maxWorkers: 3,
        },
      },
    ],
  },
});
