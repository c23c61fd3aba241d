import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // More than cores: most of the time is spent waiting for what Signet waits for.
    maxWorkers: 4,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src', 'test/controlplane', 'test/unit', 'test/chart'].map(
            (folder) => `${folder}/**/*.test.ts`,
          ),
          // Tens of keyrings are made and checked in some; the machine may be busy.
          testTimeout: 180_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          // Whoever waits for something says for how long; this is for what hangs.
          testTimeout: 240_000,
          hookTimeout: 180_000,
          // Real processes and real time on a machine that others use too. The output names what was
          // tried twice: "(retry x1)". Here nothing is.
          retry: process.env['CI'] === undefined ? 0 : 1,
        },
      },
    ],
  },
});
