import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Two cores; a control plane is on one of them.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/controlplane/**/*.test.ts', 'test/unit/**/*.test.ts'],
          // Tens of keyrings are made and checked in some; the machine may be busy.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
