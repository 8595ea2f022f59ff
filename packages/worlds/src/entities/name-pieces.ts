import type { EntityType } from "./types.ts";

/** The two pools of pieces of a type's names, and how a name is put together. */
export interface NamePattern {
  readonly first: readonly string[];
  readonly second: readonly string[];
  /** What stands before the two pieces, with its space. */
  readonly before: string;
}

const pool = (words: string): readonly string[] => words.trim().split(/\s+/);

/**
 * Fifty first and fifty second pieces a type. No piece belongs to two pools, and none is an attribute's value, so a piece tells the
 * type of a name and nothing more.
 */
export const namePatterns: Readonly<Record<EntityType, NamePattern>> = {
  people: {
    before: "",
    first: pool(`
      Orla Bram Tessa Ivo Maren Silas Petra Colm Greta Anders Lydia Rufus Nadia Felicity Ingrid Hubert Saskia Tobin Wilma Jasper
      Cora Magnus Elspeth Dorian Freya Lorcan Matilda Oswin Priya Quentin Rhona Stellan Thora Ulric Verity Wendel Yara Zeb Agatha
      Barnaby Celia Duncan Edwina Fergus Gwen Hector Isla Jonas Keziah Leopold`),
    second: pool(`
      Vance Thorne Ashdown Pell Lockhart Merrow Dunmore Fenwick Hale Ingram Jessop Kerr Lund Mather Norcott Oakes Pryor Quill Radley
      Sayer Tully Upton Varley Wexford Yates Abbott Birch Calder Draper Ellery Foss Garrick Holt Imrie Jardine Keating Lisle Monk
      Nash Orme Penrose Rusk Sefton Tarrant Usher Voss Winslow Yardley Beck Croft`),
  },
  places: {
    before: "",
    first: pool(`
      Kestwick Ormley Tarnfield Wexcombe Braddle Cawmouth Dunsby Elverton Farrowby Glenmoor Harwick Inverley Jarrowdale Kirkham
      Lanswell Morby Netherby Oldcote Penwith Quarley Ravensby Skelby Thornaby Ulverton Vexham Wainfleet Yarborough Aldwark
      Burscombe Chilham Dorley Eskdale Fulwood Gadsby Hexwell Ilkwood Jevington Kelham Lorton Marwick Nunwell Oxley Pickwell Ramsley
      Stanwick Tidmoor Uffley Waldon Wrenbury Yaxham`),
    second: pool(`
      Hollow Cross Heath Ford Mills Bridge Common Abbey Vale Ridge Grove Haven Point Falls Wharf Gate Corner Hill Bay Cove Moor
      Marsh Fields Park Quay Spring Wells Brook Glen Crest End Bank Bottom Down Edge Fold Garth Head Island Junction Knoll Landing
      Meadow Nook Orchard Pass Reach Sands Terrace Wood`),
  },
  works: {
    before: "The ",
    first: pool(`
      Amber Silent Broken Hidden Distant Crooked Gentle Bitter Burning Frozen Wandering Sleeping Borrowed Faded Empty Endless Secret
      Ancient Restless Painted Velvet Iron Paper Glass Wooden Copper Marble Winter Summer Midnight Morning Evening Northern Southern
      Lonely Patient Reluctant Curious Humble Stubborn Tender Weary Wicked Jealous Fearless Careless Nameless Ragged Shining Final`),
    second: pool(`
      Lantern Mirror Harbour Garden Letter Shadow Window Feather Compass Candle Stranger Traveller Widow Orphan Piper Clockmaker
      Gardener Sister Brother Daughter Promise Journey Voyage Banquet Bargain Burden Carriage Cathedral Cottage Diamond Echo
      Fountain Gambler Hunter Inheritance Jewel Kingdom Ladder Messenger Needle Oath Riddle Sparrow Staircase Thief Tower Umbrella
      Valley Whisper Locket`),
  },
  teams: {
    before: "",
    first: pool(`
      Brampton Ashford Carlow Denholm Easton Felling Granby Halford Ingleton Jedburn Kilmore Langley Milford Norwood Ockham Preston
      Quorn Redmire Selby Tilbury Upwell Verwood Wigmore Yelland Appleby Bolsover Corby Dalton Epworth Filey Goring Hadley Ibstock
      Kendal Ludlow Malden Newbold Otley Pelham Rothwell Stroud Thirsk Ulceby Wantage Whitby Yeovil Barlow Cheadle Durley Enfield`),
    second: pool(`
      Herons Rovers Rangers Wanderers Comets Pilots Saints Titans Knights Archers Lancers Pioneers Monarchs Raiders Outlaws Bandits
      Barons Chiefs Cyclones Drifters Falcons Flyers Foresters Giants Gladiators Guards Harriers Hornets Hurricanes Jets Kestrels
      Legends Mariners Meteors Nomads Otters Pirates Ravens Rockets Royals Scouts Spartans Stags Storms Strikers Trojans Vikings
      Voyagers Warriors Wasps`),
  },
};
