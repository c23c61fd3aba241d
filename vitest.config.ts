import { defineConfig } from 'vitest/config';

/** For tests of real processes in real time. */
const real = {
  // Whoever waits for something says for how long; this is for what hangs.
  testTimeout: 240_000,
  hookTimeout: 180_000,
  // The machine may be one that others use too. What was tried twice is named above
  // the last line of npm test, with what it failed with.
  retry: process.env['CI'] === undefined ? 0 : 1,
};

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
          ...real,
        },
      },
      // npm run demo and npm run dev: by themselves, because the demo's steps have seconds.
      { test: { name: 'tools', include: ['test/tools/*.test.ts'], ...real } },
    ],
  },
});
