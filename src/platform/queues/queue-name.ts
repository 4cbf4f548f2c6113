/** The queues of BullMQ. */
export enum QueueName {
  /** Short work that keeps the system in order: sweeps and clean-ups. */
  Maintenance = 'maintenance',
}
