// Two projects: `unit` is everything that needs no privilege and no network (beside the code it
// tests, and in test/fuzz); `scenario` sends real packets between real hosts in network namespaces, one file
// after the other. `operation` are the scenarios that mostly wait for checks, deadlines and reports, and do
// not mind company: several at a time.
import { defineConfig } from 'vitest/config';

const WAITING =
  'test/scenario/{health,health-old-connections,drain,schedulers,load-sources,feedback-survives,passive-health}.test.ts';

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
          include: ['test/scenario/**/*.test.ts'],
          exclude: [WAITING],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          pool: 'forks',
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'operation',
          include: [WAITING],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          pool: 'forks',
          maxWorkers: 3,
        },
      },
    ],
  },
});
