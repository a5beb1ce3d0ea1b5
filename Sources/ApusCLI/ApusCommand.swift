import ArgumentParser

@main
struct ApusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apus",
    abstract: "A lock-free market-making engine for derivatives venues.",
    subcommands: [VenueCommand.self]
  )
}
