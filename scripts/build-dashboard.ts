// `npm run prepare`, which npm runs after each install: the dashboard, ready to be served.
import { buildDashboard } from './support/dashboard-build.ts'

await buildDashboard()
