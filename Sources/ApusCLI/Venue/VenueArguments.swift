import Apus
import ApusExchange
import ArgumentParser
import CSupport
import Foundation
import Glibc

/// A recording and its instrument.
struct FeedArgument: ExpressibleByArgument {
  var path: String
  /// `nil` for all of a directory that `apus record` has made.
  var instrument: String?
  /// The file's name says no more than this: the instrument is that of the venue on this coin.
  var coin: String?

  init?(argument: String) {
    if let sign = argument.firstIndex(of: "="), Self.isInstrument(argument[..<sign]) {
      instrument = String(argument[..<sign])
      path = String(argument[argument.index(after: sign)...])
    } else {
      path = argument
      let name = argument.split(separator: "/").last?.uppercased() ?? ""
      coin = ["BTC", "ETH"].first { name.contains("\($0)USDT") }
      if let coin {
        instrument = "\(coin)-PERPETUAL"
      } else if access(argument, F_OK) != 0 || opendir(argument).map({ closedir($0) }) == nil {
        return nil
      }
    }
    if path.isEmpty { return nil }
  }

  private static func isInstrument(_ name: Substring) -> Bool {
    (name.hasSuffix("-PERPETUAL") || name.hasSuffix("USDT"))
      && name.allSatisfy { $0.isASCII && ($0.isUppercase || $0.isNumber || $0 == "-" || $0 == "_") }
  }

  /// What it feeds at a venue whose instruments on a coin are these.
  func sources(_ instruments: (_ coin: String) -> [String]) -> [VenueFeeds.Source] {
    guard let coin else { return [VenueFeeds.Source(path: path, instrument: instrument)] }
    return instruments(coin).map { VenueFeeds.Source(path: path, instrument: $0) }
  }
}

/// A factor in thousandths, read without floating point.
struct SpeedArgument: ExpressibleByArgument, CustomStringConvertible {
  var thousandths: Int64

  init(thousandths: Int64) { self.thousandths = thousandths }

  init?(argument: String) {
    let parts = argument.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let fraction = parts.count == 2 ? parts[1] : ""
    let digits = parts[0] + fraction + String(repeating: "0", count: max(0, 3 - fraction.utf8.count))
    guard fraction.utf8.count <= 3, digits.utf8.allSatisfy({ (48...57).contains($0) }), !argument.hasPrefix("."),
      let value = Int64(digits), (1...1_000_000).contains(value)
    else { return nil }
    thousandths = value
  }

  var description: String {
    let (whole, rest) = thousandths.quotientAndRemainder(dividingBy: 1000)
    return rest == 0 ? "\(whole)" : "\(whole)." + String(1000 + rest).dropFirst()
  }
  var defaultValueDescription: String { description }
}

/// A key id and its public key's file.
struct KeyArgument: ExpressibleByArgument {
  var id: String
  var path: String

  init?(argument: String) {
    guard let sign = argument.firstIndex(of: "=") else { return nil }
    id = String(argument[..<sign])
    path = String(argument[argument.index(after: sign)...])
    if id.isEmpty || path.isEmpty { return nil }
  }
}

enum VenueProtocolArgument: String, ExpressibleByArgument, CaseIterable { case thalex, deribit, bybit }

enum MassQuoteCostArgument: String, ExpressibleByArgument, CaseIterable {
  case request, instrument, side

  var cost: VenueConfiguration.MassQuoteCost {
    switch self {
    case .request: .perRequest
    case .instrument: .perQuote
    case .side: .perSide
    }
  }
}

enum IdleArgument: String, ExpressibleByArgument, CaseIterable { case park, spin }

extension DriverChoice: ExpressibleByArgument {}
