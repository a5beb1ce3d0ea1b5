import ApusHost
import ArgumentParser

@main
struct ApusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apus",
    abstract: "A lock-free market-making engine for derivatives venues.",
    discussion: "Start with `apus demo`: it needs no account, no key and no network.",
    version: Build.version,
    subcommands: [
      DemoCommand.self, ChaosCommand.self, RunCommand.self, VenueCommand.self, ConfigCommand.self, MonitorCommand.self,
      TopCommand.self, ReplayCommand.self, BacktestCommand.self, ExportCommand.self, RecordCommand.self,
      BenchCommand.self,
      HaltCommand.self, ResumeCommand.self, ApplyCommand.self, DrillCommand.self, DoctorCommand.self, ReleaseCommand.self,
      RolloutCommand.self,
    ])
}
