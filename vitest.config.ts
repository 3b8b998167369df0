// Two projects: `unit` is everything that needs no privilege and no network (beside the code it
// tests, and in test/fuzz); `scenario` sends real packets between real hosts in network namespaces.
import { defineConfig } from 'vitest/config';

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
          testTimeout: 120_000,
          hookTimeout: 60_000,
          pool: 'forks',
          fileParallelism: false,
        },
      },
    ],
  },
});
